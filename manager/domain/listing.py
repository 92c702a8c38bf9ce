"""Lists: sorting and paging of rows.

Pure. Invariant: sorting is stable. So pages neither repeat nor skip a row if the rows came in a total order,
or if the last key is unique.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sort(Generic[T]):
    """A sort key."""

    key: Callable[[T], Any]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """A part of a list, and the number of rows in the whole."""

    total: int
    entries: Sequence[T]


def sort_rows(rows: Iterable[T], sorts: Sequence[Sort[T]]) -> list[T]:
    """Sort rows by the first of these, equals by the next, and so on."""
    found = list(rows)
    for sort in reversed(sorts):
        found.sort(key=sort.key, reverse=sort.descending)
    return found


def page_from(rows: Sequence[T], *, offset: int, limit: int) -> ListPage[T]:
    """Return at most `limit` rows after the first `offset`."""
    return ListPage(len(rows), rows[offset : offset + limit])


def page_of(rows: Sequence[T], number: int, *, size: int) -> ListPage[T]:
    """Return a page by its number, from 1."""
    return page_from(rows, offset=(number - 1) * size, limit=size)


def mentions(texts: Iterable[str], wanted: str) -> bool:
    """Whether one of these texts contains `wanted`, ignoring case."""
    lowered = wanted.lower()
    return any(lowered in text.lower() for text in texts)
