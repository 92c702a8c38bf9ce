"""Memory given back: what many connections took returns to the system once they are gone.

The C library keeps freed memory below what is still in use, so that one burst of strangers would stay on the books for ever. Decides
when to hand it back, when to look for objects that only hold each other, and what the library may keep. Invariant: nothing is handed back
while nothing has gone or grown.
"""

import asyncio
import ctypes
import gc
import resource
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

MEMORY_CHECK_S: Final = 1.0
"""How often it is looked whether connections have gone, or memory was taken."""

REST_S: Final = 15.0
"""Between two collections of garbage: everything else waits for them (some 100 ms in a siege), and
what connections took is still back within 30 s of their end.
"""

HOLES_BYTES: Final = 4 * 1024 * 1024
"""So much more is looked through for what the library keeps and nobody uses: 2 to 10 MiB in a siege, where requests come and go. That
takes 1 to 3 ms."""

PAGE_BYTES: Final = resource.getpagesize()

GROWN_BYTES: Final = 16 * 1024 * 1024
"""So much more is worth a collection, too: where connections come and go, what is gone hides in what is new."""

LASTING: Final = 5
"""So many looks in a row have to find it: what one look at 10,000 nodes takes is gone on its own, and a collection would hold the loop for some 300 ms."""

GONE: Final = 32
"""So many fewer connections than at most since the last collection are worth one: 3 MiB of TLS."""

NEVER: Final = 2**31 - 1
"""Collections of the middle generation before one of the oldest."""

M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""mallopt(3)."""

LARGE_BYTES: Final = 128 * 1024
"""From here on a block is the system's own pages, and theirs again at once when it is freed. It is the library's own limit at the start,
but each large block that is freed raises that, up to 32 MiB, and then bodies and long lists leave holes between what stays."""

HEAPS: Final = 2
"""The library would make eight for each core, one for each thread that computes, and hand nothing from one to another."""


def keep_little() -> bool:
    """Make this process keep less of what it frees, whatever its threads do; False if the C library cannot. To be called before they start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_ARENA_MAX, HEAPS) and mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


def collect_when_told() -> None:
    """Make the interpreter collect automatically only what is young, and leave the rest to `give_back`.

    It would walk through all there is whenever a quarter more has come, and so for each list of 10,000 nodes that is made and dropped:
    300 ms in which nobody is answered.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)


async def give_back(connections: Callable[[], int]) -> None:
    """Hand back memory after bursts of connections and of requests, until cancelled."""
    clock = asyncio.get_running_loop().time
    most, collected_s = connections(), -REST_S
    least_collected = least_trimmed = in_use_bytes()
    latest = deque([least_collected], LASTING)
    while True:
        await asyncio.sleep(MEMORY_CHECK_S)
        now, taken_bytes = connections(), in_use_bytes()
        most, least_collected, least_trimmed = (
            max(most, now),
            min(least_collected, taken_bytes),
            min(least_trimmed, taken_bytes),
        )
        if taken_bytes - least_trimmed >= HOLES_BYTES:
            await asyncio.to_thread(trim)
            taken_bytes = least_trimmed = in_use_bytes()
        latest.append(taken_bytes)
        is_worth_it = most - now >= GONE or min(latest) - least_collected >= GROWN_BYTES
        if is_worth_it and clock() - collected_s >= REST_S:
            most, collected_s = now, clock()
            # what ended connections hold of each other goes first; what was there at the start is frozen and not walked through
            gc.collect()
            await asyncio.to_thread(trim)
            least_collected = least_trimmed = in_use_bytes()


def in_use_bytes() -> int:
    """Return how much memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def trim() -> bool:
    """Hand free memory back to the system; False if the C library cannot."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
