"""Terminal output of the commands: the only place that prints, so that foreign text cannot control the terminal.

Leaves the content to its callers. Invariant: each call of `say` prints one line whatever its text, and no call
sends an unprintable character to a terminal.
"""

import sys

from common.text import escaped_json, printable, printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print one line for people."""
    _write(printable(text) + "\n", err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines: one of our own, or a document."""
    _write(printable_lines(text.removesuffix("\n")) + "\n", err=err)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def say_document(text: str) -> None:
    """Print a text byte for byte into a file or pipe, but without control characters to a terminal."""
    if is_terminal():
        say_lines(text)
    else:
        _write(text if text.endswith("\n") else f"{text}\n", err=False)


def say_json(text: str) -> None:
    """Print a JSON text. Unprintable characters are escaped, in pipes too, which keeps its value the same."""
    _write(escaped_json(text).rstrip("\n") + "\n", err=False)


def say_columns(*cells: str) -> None:
    """Print one line with tabs between its cells, for programs that split it."""
    _write("\t".join(map(printable, cells)) + "\n", err=False)


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()
