"""Pure packages touch no file and nothing else outside, in ways that the import contracts cannot see; and no import escapes these."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_sizes import TOP, product

LIBRARIES = {
    *("base64", "binascii", "collections", "contextlib", "contextvars", "dataclasses", "datetime", "difflib"),
    *(
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "json",
        "math",
    ),
    *(
        "quopri",
        "re",
        "secrets",
        "statistics",
        "struct",
        "textwrap",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
    ),
    *("urllib.parse", "warnings", "zipfile", "zlib"),
    *("cryptography", "josepy", "jwt", "markupsafe", "msgspec", "re2", "rich.table", "rich.text"),
    *("dns.flags", "dns.message", "dns.name", "dns.rcode", "dns.rdataclass", "dns.rdatatype", "dns.rdtypes"),
}
"""What pure packages are made of. Another library is added if it computes from what it is given alone."""

PARTS = {
    "acme": {"jws", "messages"},
    "email.utils": {"parsedate_to_datetime"},
    "io": {"BytesIO", "StringIO"},
    "pathlib": {"PurePosixPath"},
    "rich.console": {"Group", "RenderableType"},
}
"""Of these libraries only what is in memory."""

PURE = re.compile(r"\bPure\b")
"""The word by which a module's docstring says that it is."""

BUILT_IN = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__"}
ON_FILES = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "unlink",
    "mkdir",
    "rmdir",
    "touch",
    "iterdir",
    "stat",
    "lstat",
}
"""Methods of a path, which may have been handed in."""

LATE = {"import_module", "__import__", "find_spec", "spec_from_file_location", "run_module", "run_path"}
LATE_LIBRARIES = {
    "imp",
    "pkgutil",
    "runpy",
    "zipimport",
    "importlib.util",
    "importlib.machinery",
    "importlib.abc",
}
MAY_IMPORT_LATE = {"manager/entry.py": "names the command whose library is missing, before any is loaded"}


def pure_modules() -> list[str]:
    """Return the modules and packages that `pyproject.toml` calls pure."""
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = (each for each in contracts if each["name"].startswith("pure packages do no I/O"))
    modules: list[str] = pure["source_modules"]
    return modules


def pure_sources() -> Iterator[tuple[str, str]]:
    """Yield the files of what `pyproject.toml` calls pure."""
    for module in pure_modules():
        place = TOP / module.replace(".", "/")
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [Path(f"{place}.py")]:
            yield str(path.relative_to(TOP)), path.read_text()


def reaching_out(text: str) -> list[str]:
    """Return what a text of code imports or calls that a pure package does not."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [each.name for each in names if not is_library(each.name) and each.name not in PARTS]
            case ast.ImportFrom(module=str(module), names=names) if module in PARTS:
                found += [f"{module}.{each.name}" for each in names if each.name not in PARTS[module]]
            case ast.ImportFrom(module=str(module)) if not is_library(module):
                found.append(module)
            case ast.Attribute(value=ast.Name(id=library), attr=name) if name not in PARTS.get(
                library, {name}
            ):
                found.append(f"{library}.{name}")
            case ast.Name(id=name, ctx=ast.Load()) if name in BUILT_IN:
                found.append(name)
            case ast.Call(func=ast.Attribute(attr=name)) if name in ON_FILES:
                found.append(name)
    return found


def is_library(module: str) -> bool:
    top = module.partition(".")[0]
    package = module.rpartition(".")[0]
    return bool(LIBRARIES & {module, package, top}) or top in {"common", "manager", "nodeagent"}


def importing_late(text: str) -> list[str]:
    """Return how a text of code imports what no import contract sees."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [each.name for each in names if each.name in {*LATE_LIBRARIES, "importlib"}]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module in LATE_LIBRARIES else []
                found += [
                    each.name
                    for each in names
                    if each.name in {*LATE, "util", "machinery"} and module == "importlib"
                ]
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in LATE:
                found.append(name)
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                found.append("sys.modules")
    return found


def test_nothing_pure_touches_a_file_or_what_else_is_outside():
    sources = dict(pure_sources())
    assert len(sources) > 150
    assert {name: found for name, text in sources.items() if (found := reaching_out(text))} == {}


def test_what_calls_itself_pure_is_held_to_it():
    called = {name for name, text in product() if PURE.search(ast.get_docstring(ast.parse(text)) or "")}
    assert len(called) > 50
    assert called - {name for name, _ in pure_sources()} == set()


def test_all_of_common_but_its_runtime_is_pure():
    rooms = {
        path.stem
        for path in (TOP / "common").iterdir()
        if not path.name.startswith("_") and path.suffix in {".py", ""}
    }
    listed = {module.partition(".")[2] for module in pure_modules() if module.startswith("common.")}
    assert rooms - listed == {"runtime"}


@pytest.mark.parametrize(
    "text",
    [
        "open('f')",
        "from pathlib import Path",
        "import pathlib\npathlib.Path('f')",
        "import io\nio.open('f')",
        "def f(path): return path.read_text()",
        "import tempfile",
        "from importlib import resources",
        "from shutil import rmtree",
        "import urllib.request",
        "reader = open",
        "import dns.resolver",
        "from acme import client",
        "from rich.console import Console",
    ],
)
def test_what_touches_a_file_is_found(text: str):
    assert reaching_out(text)


def test_nothing_is_imported_where_no_contract_sees_it():
    found = {name for name, text in product() if importing_late(text)}
    assert found == set(MAY_IMPORT_LATE)


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('manager.store')",
        "from importlib import import_module",
        "from importlib import util",
        "import importlib.util",
        "__import__('manager.store')",
        "import sys\nsys.modules['manager.store']",
        "import runpy",
    ],
)
def test_a_late_import_is_found(text: str):
    assert importing_late(text)
