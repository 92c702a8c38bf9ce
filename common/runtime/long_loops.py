"""Loops over thousands of things on the event loop, which must not hold it: others get their turn in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

AT_ONCE: Final = 100
"""Lines of the log, nodes that are looked at or compared, and what costs as little: 5 to 10 ms."""

T = TypeVar("T")


async def by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield all of these, AT_ONCE of them in one turn of the loop. Whoever is cancelled in between has not seen the rest."""
    for count, item in enumerate(items, 1):
        yield item
        if count % AT_ONCE == 0:
            await asyncio.sleep(0)
