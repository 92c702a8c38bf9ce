"""Loops over thousands of items on the event loop, with turns for other tasks in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

AT_ONCE: Final = 100
"""Items per turn: log lines, nodes to compare and similarly cheap ones; 5 to 10 ms."""

T = TypeVar("T")


async def by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield all items, AT_ONCE of them per turn of the loop. A caller cancelled in between misses the rest."""
    for count, item in enumerate(items, 1):
        yield item
        if count % AT_ONCE == 0:
            await asyncio.sleep(0)
