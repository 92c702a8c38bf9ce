"""Terminal output of the commands: the one place that prints, so that foreign text cannot drive the reader's terminal.

Decides nothing about what is said. Invariant: each call of `say` is one line, whatever stands in it; only `write_exact` prints a text
as it is, for output that programs read.
"""

import sys

from common.text import printable, printable_lines


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
        write_exact(text if text.endswith("\n") else f"{text}\n")


def write_exact(text: str) -> None:
    """Print a text as it is: JSON, or what goes into a file or pipe."""
    _write(text, err=False)


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()
