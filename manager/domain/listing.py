"""Lists: rows in an order, and a part of them.

Pure. Invariant: sorting keeps the order of equals, so that pages neither repeat nor skip a row where the rows came in a total order
or the last key is one of its own for each.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sort(Generic[T]):
    """By what to sort."""

    key: Callable[[T], Any]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """A part of a list, and how many rows the whole has."""

    total: int
    entries: Sequence[T]


def sort_rows(rows: Iterable[T], sorts: Sequence[Sort[T]]) -> list[T]:
    """Sort rows by the first of these, equals by the next, and so on."""
    found = list(rows)
    for sort in reversed(sorts):
        found.sort(key=sort.key, reverse=sort.descending)
    return found


def page_from(rows: Sequence[T], *, offset: int, limit: int) -> ListPage[T]:
    """Return so many rows after the first `offset`."""
    return ListPage(len(rows), rows[offset : offset + limit])


def page_of(rows: Sequence[T], number: int, *, size: int) -> ListPage[T]:
    """Return a page by its number, from 1."""
    return page_from(rows, offset=(number - 1) * size, limit=size)


def mentions(texts: Iterable[str], wanted: str) -> bool:
    """Whether a text is in one of these, without regard to case."""
    lowered = wanted.lower()
    return any(lowered in text.lower() for text in texts)
