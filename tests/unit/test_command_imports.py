"""The operator's command stands on the API's contract and a few helpers: what else it may import is listed here.

The import contract forbids what is known to be wrong, also by way of others; a module that is new is in no such list.
"""

import ast
from pathlib import Path

import manager.cli

CLI = Path(manager.cli.__file__).parent
OURS = ("common", "manager", "nodeagent")
ALLOWED = {
    "manager.cli",
    "manager.usage",
    "common.api",
    "common.codes",
    "common.errors",
    "common.explained",
    "common.ids",
    "common.limits",
    "common.pki.body",
    "common.pki.expiry",
    "common.pki.finding",
    "common.pki.pem",
    "common.runtime.command",
    "common.runtime.durable",
    "common.runtime.system_error",
    "common.runtime.terminal",
    "common.schema",
    "common.text",
    "common.words",
}


def imported(text: str) -> set[str]:
    """Return the modules of ours that a text imports, also in a function; what comes out of a package counts by its own name."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found |= {each.name for each in names}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {f"{module}.{each.name}" for each in names}
    return {each for each in found if each.partition(".")[0] in OURS}


def not_listed(text: str) -> set[str]:
    return {
        each for each in imported(text) if not any(f"{each}.".startswith(f"{known}.") for known in ALLOWED)
    }


def test_the_command_imports_only_what_is_listed():
    found = {path.name: not_listed(path.read_text()) for path in sorted(CLI.rglob("*.py"))}
    assert len(found) > 40
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_what_is_listed_is_imported():
    found = {each for path in CLI.rglob("*.py") for each in imported(path.read_text())}
    assert {
        known for known in ALLOWED if not any(f"{each}.".startswith(f"{known}.") for each in found)
    } == set()


def test_a_module_that_is_not_listed_is_found_however_it_is_imported():
    assert not_listed("import manager.strength") == {"manager.strength"}
    assert not_listed("from manager import strength") == {"manager.strength"}
    assert not_listed("def f():\n    from common.runtime.trusted import resolve") == {
        "common.runtime.trusted.resolve"
    }
    assert not_listed("from manager.usages import words") == {"manager.usages.words"}
    assert not_listed("import manager.cli.output\nfrom common.errors import Reason") == set()
