"""The table of what the specification promises names only commands and tests that exist."""

import re
from pathlib import Path

import pytest
import typer

from manager import admin as daemon
from manager.cli.app import app

TOP = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TOP / "docs" / "specification.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| the specification promises")
]
TESTS = {
    name
    for path in (TOP / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


def commands(command, name: str) -> dict[str, set[str]]:
    """Return the options of every command below this one, by its whole name."""
    known = {name: {option for parameter in command.params for option in parameter.opts}}
    for key, one in getattr(command, "commands", {}).items():
        known |= commands(one, f"{name} {key}")
    return known


OPTIONS = {
    **commands(typer.main.get_command(app), "certcast"),
    **commands(typer.main.get_command(daemon.app), "certcast-manager"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_promise_names_a_command_and_a_test_that_exist(row: list[str]):
    promise, command, proof = row
    named = re.findall(r"`([^`]+)`", command)
    assert promise
    assert command == "(always)" or named
    for each in named:
        name, _, option = each.partition(" --")
        assert name in OPTIONS
        assert not option or f"--{option}" in OPTIONS[name]
    proofs = re.findall(r"`(test_\w+)`", proof)
    assert proofs
    assert set(proofs) <= TESTS


def test_the_table_is_read():
    assert len(ROWS) > 50
