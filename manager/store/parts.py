"""Splitting of many rows into parts that fit one statement and leave the loop free in between."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Row

_T = TypeVar("_T")

SQL_VARIABLES_MAX: Final = 500
"""Values in one IN list; the engines' own limits are far above this."""

MADE_AT_ONCE: Final = 500
"""How many rows become records between two turns of the loop: about 5 ms."""


def chunks(items: Sequence[_T], size: int = SQL_VARIABLES_MAX) -> list[Sequence[_T]]:
    """Split a sequence into parts that fit one statement."""
    return [items[start : start + size] for start in range(0, len(items), size)]


async def made_of(rows: Sequence[Row[Any]], make: Callable[[Row[Any]], _T]) -> list[_T]:
    """Return the records of these rows, yielding to the loop between parts if there are thousands."""
    found: list[_T] = []
    for start in range(0, len(rows), MADE_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        found += map(make, rows[start : start + MADE_AT_ONCE])
    return found
