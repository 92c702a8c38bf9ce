"""Tables for people.

Invariant: what stands in a cell is shown as it is, never read as markup or as a terminal's command.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manager.operator.words import clean

WIDE: Final = 400
"""The width where no terminal sets one, so that a line for `grep` is never folded."""

STATE_STYLES: Final[Mapping[str, str]] = {
    "in_sync": "green",
    "reload_waiting": "green",
    "scheduled": "cyan",
    "pending": "cyan",
    "installing": "cyan",
    "failed": "bold red",
    "conflict": "bold red",
    "not_serving": "red",
    "drifted": "yellow",
    "offline": "yellow",
    "never_joined": "dim",
}
"""Colour only repeats the word beside it."""

Cell = str | Text


class _Console(Console):
    """One that leaves it to the command how it ends when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, again."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for progress beside it."""
    made = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def state(word: str) -> Text:
    """Return a state in its colour."""
    return Text(clean(word), style=STATE_STYLES.get(word, ""))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[Cell]], *, folded: Collection[str] | None = None
) -> Table:
    """Return a table; on a narrow terminal the `folded` columns are folded, all but the first if they are not named."""
    made = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for heading in headings:
        may_fold = heading != headings[0] if folded is None else heading in folded
        made.add_column(heading, overflow="fold", no_wrap=not may_fold)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(_lines(cell)) for cell in row))
    return made


def show_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    nothing: str,
    folded: Collection[str] | None = None,
) -> None:
    """Print a table, or a sentence if it has no rows."""
    out = console()
    if rows:
        out.print(table(headings, rows, folded=folded))
    else:
        out.print(nothing)


def pairs(rows: Sequence[tuple[str, Cell]]) -> Table:
    """Return one thing as names and values."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, value if isinstance(value, Text) else Text(_lines(value)))
    return made


def show_pairs(rows: Sequence[tuple[str, Cell]]) -> None:
    """Print one thing as names and values."""
    console().print(pairs(rows))


def _lines(cell: str) -> str:
    return "\n".join(clean(line) for line in cell.split("\n"))
