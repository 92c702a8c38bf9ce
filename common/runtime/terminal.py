"""Terminal output of the commands: the one place that prints, so that foreign text cannot drive the reader's terminal.

Decides nothing about what is said. Invariant: each call of `say` is one line, whatever stands in it, and no call sends a terminal a
character that is not printable.
"""

import sys

from common.text import escaped_json, printable, printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print one line for people."""
    _write(printable(text) + "\n", err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text whose line ends are meant: one of our own, or a document."""
    _write(printable_lines(text.removesuffix("\n")) + "\n", err=err)


def is_terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout.isatty()


def say_document(text: str) -> None:
    """Print a text byte for byte into a file or pipe; a terminal gets nothing that could drive it."""
    if is_terminal():
        say_lines(text)
    else:
        _write(text if text.endswith("\n") else f"{text}\n", err=False)


def say_json(text: str) -> None:
    """Print a JSON text whose value stays the same wherever it goes: what is not printable is escaped, in pipes too."""
    _write(escaped_json(text).rstrip("\n") + "\n", err=False)


def say_columns(*cells: str) -> None:
    """Print one line with tabs between its cells, for programs that split it."""
    _write("\t".join(map(printable, cells)) + "\n", err=False)


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()
