"""Memory given back: what many connections took returns to the system once they are gone.

The C library keeps freed memory below what is still in use, so that one burst of strangers would stay on the books for ever. Decides
when to hand it back. Invariant: nothing is done while nothing has gone.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 5.0
"""How often it is looked whether connections have gone; what they took is back well within 30 s."""

GONE: Final = 32
"""So many fewer connections than at most since the last time are worth it: 3 MiB of TLS."""


async def give_back(connections: Callable[[], int]) -> None:
    """Hand back memory after bursts of connections, until cancelled."""
    most = connections()
    while True:
        await asyncio.sleep(LOOK_S)
        now = connections()
        most = max(most, now)
        if most - now >= GONE:
            most = now
            # what ended connections hold of each other goes first; the young are few, and the old are frozen
            gc.collect(1)
            await asyncio.to_thread(trim)


def trim() -> bool:
    """Hand free memory back to the system; False if the C library cannot."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
