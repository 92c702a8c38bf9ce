"""The locked files that README installs from pin the same versions, each with its hashes, and a node gets no more than it needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
LOCKS = ("requirements.lock", "requirements-manager.lock", "requirements-node.lock")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_has_a_hash(name):
    parts = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(parts) == len(pins(name))
    assert [part.split()[0] for part in parts if "--hash=sha256:" not in part] == []


@pytest.mark.parametrize("share", LOCKS[1:])
def test_a_share_pins_what_the_whole_pins(share):
    whole = pins(LOCKS[0])
    assert pins(share).items() <= whole.items()


def test_a_node_is_pinned_whole_and_has_none_of_the_managers_libraries():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[a-z0-9-]+", each)[0] for each in project["dependencies"]]
    managers = [re.match(r"[a-z0-9-]+", each)[0] for each in project["optional-dependencies"]["manager"]]
    locked = pins("requirements-node.lock")
    assert set(names) <= locked.keys()
    assert not set(managers) & locked.keys()


def imported(top: str) -> Iterator[tuple[str, str]]:
    """Yield each library that a part of the product imports, by its name as a distribution, with where."""
    known = packages_distributions()
    for path in sorted((ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {each.partition(".")[0] for each in names} - sys.stdlib_module_names - OWN:
                yield known[name][0].lower().replace("_", "-"), str(path.relative_to(ROOT))


OWN = {"common", "manager", "nodeagent"}


@pytest.mark.parametrize("top", sorted(OWN))
def test_every_library_that_is_imported_is_one_that_the_project_says_it_needs(top: str):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(project["optional-dependencies"]["manager"] if top == "manager" else []),
    ]
    declared = {re.match(r"[a-z0-9-]+", each)[0] for each in needed}
    assert {(name, path) for name, path in imported(top) if name not in declared} == set()
