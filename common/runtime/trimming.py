"""Memory given back: what many connections took returns to the system once they are gone.

The C library keeps freed memory below what is still in use, so that one burst of strangers would stay on the books for ever. Decides
when to hand it back, and what the library may keep. Invariant: nothing is handed back while nothing has gone.
"""

import asyncio
import ctypes
import gc
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_S: Final = 5.0
"""How often it is looked whether connections have gone."""

REST_S: Final = 15.0
"""Between two times of handing back: everything else waits while garbage is collected (some 100 ms in a siege), and
what connections took is still back within 30 s of their end.
"""

PAGE_BYTES: Final = resource.getpagesize()

GROWN_BYTES: Final = 16 * 1024 * 1024
"""So much more is looked through, too: where connections come and go, what is gone hides in what is new."""

GONE: Final = 32
"""So many fewer connections than at most since the last time are worth it: 3 MiB of TLS."""

M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""mallopt(3)."""

LARGE_BYTES: Final = 128 * 1024
"""From here on a block is the system's own pages, and theirs again at once when it is freed. It is the library's own limit at the start,
but each large block that is freed raises that, up to 32 MiB, and then bodies and long lists leave holes between what stays."""

HEAPS: Final = 2
"""The library would make eight for each core, one for each thread that computes, and hand nothing from one to another."""


def keep_little() -> bool:
    """Let this process keep less of what it frees, whatever its threads do; False if the C library cannot. To be called before they start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_ARENA_MAX, HEAPS) and mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


async def give_back(connections: Callable[[], int]) -> None:
    """Hand back memory after bursts of connections, until cancelled."""
    clock = asyncio.get_running_loop().time
    most, least_bytes, given_s = connections(), in_use_bytes(), -REST_S
    while True:
        await asyncio.sleep(LOOK_S)
        now, taken_bytes = connections(), in_use_bytes()
        most, least_bytes = max(most, now), min(least_bytes, taken_bytes)
        is_worth_it = most - now >= GONE or taken_bytes - least_bytes >= GROWN_BYTES
        if is_worth_it and clock() - given_s >= REST_S:
            most, given_s = now, clock()
            # what ended connections hold of each other goes first; what was there at the start is frozen and not walked through
            gc.collect()
            await asyncio.to_thread(trim)
            least_bytes = in_use_bytes()


def in_use_bytes() -> int:
    """Return how much memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def trim() -> bool:
    """Hand free memory back to the system; False if the C library cannot."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
