"""A watchdog of the event loop: how much CPU time each callback takes on the loop's own thread.

CPU time and not wall time, because a loaded machine delays every callback.
"""

import asyncio
import gc
import heapq
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

LIMIT_S = 0.05
"""What nothing on the loop may exceed."""


@dataclass
class Watchdog:
    """See the module. `doing` is what the test does now."""

    doing: str = ""
    callbacks: int = 0
    slowest: list[tuple[float, int, str, str]] = field(default_factory=list)

    def note(self, took_s: float, what: str) -> None:
        heapq.heappush(self.slowest, (took_s, self.callbacks, self.doing, what))
        if len(self.slowest) > 10:
            heapq.heappop(self.slowest)

    def report(self) -> str:
        lines = [
            f"{took_s * 1000:7.1f} ms  {doing}  {what}"
            for took_s, _, doing, what in sorted(self.slowest, reverse=True)
        ]
        return "\n".join([f"the slowest of {self.callbacks} callbacks of the loop:", *lines])

    def too_slow(self) -> list[str]:
        return [
            f"{took_s * 1000:.0f} ms: {doing}: {what}"
            for took_s, _, doing, what in sorted(self.slowest, reverse=True)
            if took_s > LIMIT_S
        ]


@contextmanager
def watching() -> Iterator[Watchdog]:
    """Watch the running loop; what other threads do does not count."""
    watchdog, original, loop = Watchdog(), asyncio.Handle._run, asyncio.get_running_loop()

    def measured(handle: Any) -> None:
        if handle._loop is not loop:
            original(handle)
            return
        watchdog.callbacks += 1
        begun_s = time.thread_time()
        original(handle)
        took_s = time.thread_time() - begun_s
        if not watchdog.slowest or took_s > watchdog.slowest[0][0] or len(watchdog.slowest) < 10:
            watchdog.note(took_s, _describe(handle))

    # as the manager does: a collection of the whole heap of a test run is not what is measured
    gc.collect()
    gc.freeze()
    try:
        with patch.object(asyncio.Handle, "_run", measured):
            yield watchdog
    finally:
        gc.unfreeze()


def _describe(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        stack = task.get_stack(limit=1)
        where = f" at {stack[-1].f_code.co_filename.rpartition('/')[2]}:{stack[-1].f_lineno}" if stack else ""
        return f"{getattr(task.get_coro(), '__qualname__', task)}{where}"
    return getattr(callback, "__qualname__", repr(callback))
