"""Memory release: returns the memory of closed connections to the system.

The C library keeps freed memory that lies below memory in use, so the memory of one burst of strangers would never
return. Decides when to release it, when to collect cyclic garbage, and how much the library may keep. Invariant:
nothing is released unless connections have closed or memory has grown.
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
"""How often to check for closed connections and for growth."""

REST_S: Final = 15.0
"""The time between two collections. Each stops everything else (some 100 ms in a siege); the memory of closed
connections still returns within 30 s.
"""

HOLES_BYTES: Final = 4 * 1024 * 1024
"""The growth that triggers a release of the library's unused memory: 2 to 10 MiB in a siege with its many
requests. A release takes 1 to 3 ms."""

PAGE_BYTES: Final = resource.getpagesize()

GROWN_BYTES: Final = 16 * 1024 * 1024
"""The growth that triggers a collection: if connections come and go, new ones hide the garbage of old ones."""

LASTING: Final = 5
"""The number of checks in a row that must see this growth. A single listing of 10,000 nodes frees its memory by
itself, and a collection would hold the loop for some 300 ms."""

GONE: Final = 32
"""The drop in connections since the last collection's peak that triggers the next: 3 MiB of TLS."""

NEVER: Final = 2**31 - 1
"""Collections of the middle generation before one of the oldest."""

M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""mallopt(3)."""

LARGE_BYTES: Final = 128 * 1024
"""Blocks of at least this size are mapped separately, and return to the system as soon as they are freed. This is
the library's initial limit, but it raises that with each large block freed, up to 32 MiB; then request bodies and
long lists leave holes in the heap."""

HEAPS: Final = 2
"""The number of arenas. By default the library makes eight per core, one per thread, and never shares memory."""


def keep_little() -> bool:
    """Make the C library keep less freed memory; False if it cannot. Call this before threads start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_ARENA_MAX, HEAPS) and mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


def collect_when_told() -> None:
    """Limit automatic collections to young objects, and leave the rest to `give_back`.

    By default the interpreter walks through all objects after growth by a quarter, and thus for each list of
    10,000 nodes that is made and dropped: 300 ms in which nobody is answered.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)


async def give_back(connections: Callable[[], int]) -> None:
    """Release memory after bursts of connections and requests, until cancelled."""
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
            # cycles of closed connections go first; the objects from start-up are frozen and not walked through
            gc.collect()
            await asyncio.to_thread(trim)
            least_collected = least_trimmed = in_use_bytes()


def in_use_bytes() -> int:
    """Return this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def trim() -> bool:
    """Return free memory to the system; False if the C library cannot."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
