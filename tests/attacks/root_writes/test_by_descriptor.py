"""The agent goes by descriptors wherever it touches the disk."""

import ast
from pathlib import Path

import pytest

from tests.attacks.root_writes.conftest import REPOSITORY

pytestmark = pytest.mark.timeout(120)


# -- the class, as code

BY_PATH = {
    "chmod", "chown", "exists", "glob", "hardlink_to", "is_dir", "is_file", "is_symlink", "iterdir", "lchown", "lstat",
    "mkdir", "open", "read_bytes", "read_text", "readlink", "rglob", "rmdir", "rmtree", "stat", "statvfs", "symlink",
    "symlink_to", "touch", "truncate", "unlink", "utime", "write_bytes", "write_text",
}  # fmt: skip


OF_OS = {"link", "remove", "rename", "replace"}
"""Words that other things have methods by, too."""


BY_DESCRIPTOR = {"dir_fd", "src_dir_fd"}


ALLOWED = {
    "common/runtime/trusted.py": {"lstat", "readlink", "open"},  # the walk itself
    "common/runtime/regular_file.py": {"open", "stat"},  # files of people's choice
    "common/runtime/durable.py": {"open"},  # its own descriptors in /proc
    "common/runtime/command.py": {"open"},  # /dev/null
    "nodeagent/app.py": {"read_text"},  # the boot's number in /proc
    "nodeagent/health/holder.py": {"read_text"},  # the kernel's tables of ports in /proc
    "nodeagent/install/tree.py": {"is_dir", "stat"},  # entries of an open directory
    "nodeagent/recipes/__init__.py": {"iterdir", "read_text"},  # the package's own
}


def calls_by_path(path: Path) -> set[str]:
    found = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or BY_DESCRIPTOR & {word.arg for word in call.keywords}:
            continue
        match call.func:
            case ast.Attribute(attr=name, value=value):
                of = ast.unparse(value)
            case ast.Name(id=name):
                of = ""
            case _:
                continue
        is_a_class = of.lstrip("_")[:1].isupper() and of != "Path"
        if (name in BY_PATH and not is_a_class) or (name in OF_OS and of == "os"):
            found.add(name)
    return found


def test_the_agent_goes_by_descriptors_wherever_it_touches_the_disk():
    modules = [*(REPOSITORY / "nodeagent").rglob("*.py"), *(REPOSITORY / "common/runtime").rglob("*.py")]
    found = {str(module.relative_to(REPOSITORY)): calls_by_path(module) for module in modules}
    assert {name: calls for name, calls in found.items() if calls - ALLOWED.get(name, set())} == {}
