"""Tables for people.

Invariant: what stands in a cell is shown as it is, never read as markup or as a terminal's command.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - this is the place that draws
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from common.text import printable, printable_lines

WIDE: Final = 400
"""Width without a terminal, so that lines for `grep` are never folded."""

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
"""Colours only repeat the state's word."""

Cell = str | Text | Sequence[str]
"""One line, a line in colours, or several lines."""


class _Console(Console):
    """A console that draws only printable characters, and raises when the reader has closed the pipe."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield printable segments; Rich's own control codes are separate segments."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, again."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for progress on standard error."""
    made = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def state(word: str) -> Text:
    """Return a state in its colour."""
    return Text(printable(word), style=STATE_STYLES.get(word, ""))


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
        made.add_row(*map(_drawn, row))
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
    """Return one entry as a table of names and values."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(_drawn(name), _drawn(value))
    return made


def show_pairs(rows: Sequence[tuple[str, Cell]]) -> None:
    """Print one entry as names and values."""
    console().print(pairs(rows))


def _drawn(cell: Cell) -> Text:
    match cell:
        case Text():
            return cell
        case str():
            return Text(printable(cell))
        case _:
            return Text("\n".join(printable(line) for line in cell))
