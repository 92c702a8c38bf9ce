"""Summaries of commands in the help of the three programs: whole sentences at the width of an ordinary terminal."""

import argparse
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from manager.admin.commands import app as daemon
from manager.cli.app import app as operator
from nodeagent.cli import _parser

COLUMNS = 80
"""Of a terminal whose size nobody set; so wide is a help page on a serial console, too."""


def typer_pages(command: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the help of a command and of all below it."""
    context = command.make_context(
        path.rpartition(" ")[2], ["--help"], resilient_parsing=True, terminal_width=COLUMNS
    )
    yield path, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        yield from typer_pages(below, f"{path} {name}")


def argparse_pages(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, str]]:
    yield path, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from argparse_pages(below, f"{path} {name}")


def pages() -> Iterator[tuple[str, str]]:
    yield from typer_pages(get_command(operator), "certcast")
    yield from typer_pages(get_command(daemon), "certcast-manager")
    yield from argparse_pages(_parser(), "certcast-nodeagent")


def listed(page: str) -> list[str]:
    """Return what stands below the usage line and its continuation."""
    _, _, rest = page.partition("\n\n")
    return rest.splitlines()


def test_no_summary_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    found = dict(pages())
    assert {"certcast certificate add", "certcast-manager user password", "certcast-nodeagent join"} <= {
        *found
    }
    cut = [f"{path}: {line}" for path, page in found.items() for line in listed(page) if line.endswith("...")]
    assert cut == []
