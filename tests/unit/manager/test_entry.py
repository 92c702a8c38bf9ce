"""A node's installation has the names of the manager's commands; they say what is missing."""

import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S


def run_without(module: str, command: str) -> str:
    """Run a command where a module is missing; return what it says at its end."""
    code = f"import sys; sys.modules[{module!r}] = None; from manager.entry import {command}; {command}()"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert ran.returncode == 1
    return ran.stderr


@pytest.mark.parametrize(("command", "name"), [("operator", "certcast"), ("daemon", "certcast-manager")])
def test_a_command_without_its_libraries_says_what_to_do(command, name):
    assert run_without("typer", command).startswith(f"{name}: the library typer is missing")


def test_a_module_of_ours_that_is_missing_is_a_fault_and_looks_like_one():
    assert "Traceback" in run_without("manager.settings", "daemon")
