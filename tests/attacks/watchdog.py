"""A watchdog of the event loop: how much CPU time each callback takes on the loop's own thread, and which ones stop that thread.

CPU time and not wall time, because a loaded machine delays every callback. What waits instead of computing (sleeps, locks, files, blocking
sockets) is seen by another thread, which asks the kernel in which system call the loop's thread is stopped while a callback runs. A thread
that only waits for a core is not stopped, one that waits for the interpreter's lock waits for who computes, and one that starts another thread waits until that
has a core.
"""

import asyncio
import ctypes
import gc
import heapq
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from tests.daemon_logging import daemon_logging

LIMIT_S = 0.05
"""What nothing on the loop may exceed."""

LOCK_LIMIT_S = 0.5
"""For a lock: who holds it may itself be waiting for a core."""

LOOK_S = 0.01
FUTEX = {"x86_64": "202", "aarch64": "98"}[platform.machine()]
"""The system call in which threads wait for locks."""

RUNTIME_BYTES = 64 * 1024
"""So much of the interpreter's own state holds its lock."""


@dataclass
class Watchdog:
    """`doing` is what the test does now."""

    doing: str = ""
    callbacks: int = 0
    running: bool = False
    stopped: list[str] = field(default_factory=list)
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
        slow = [
            f"{took_s * 1000:.0f} ms: {doing}: {what}"
            for took_s, _, doing, what in sorted(self.slowest, reverse=True)
            if took_s > LIMIT_S
        ]
        return slow + self.stopped


class _Sampler(threading.Thread):
    """Looks every LOOK_S whether the loop's thread is stopped within a callback, and notes it once it was for too long."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._watchdog = watchdog
        self._watched = threading.get_ident()
        self._call = Path(f"/proc/self/task/{threading.get_native_id()}/syscall")
        self._over = threading.Event()
        self._runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))

    def run(self) -> None:
        watchdog, since_s, callback = self._watchdog, 0.0, -1
        while not self._over.wait(LOOK_S):
            now_s, limit_s = time.monotonic(), self._limit_s()
            if limit_s is None or not watchdog.running:
                callback = -1
            elif watchdog.callbacks != callback:
                since_s, callback = now_s, watchdog.callbacks
            elif now_s - since_s > limit_s:
                frame = sys._current_frames()[self._watched]
                if not _starts_a_thread(frame):
                    where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
                    watchdog.stopped.append(f"stopped at {where}: {watchdog.doing}")
                    # once for each callback
                    since_s = float("inf")

    def end(self) -> None:
        self._over.set()
        self.join()

    def _limit_s(self) -> float | None:
        """Return for how long the thread may wait for what it waits for now; None if for nothing."""
        call = self._call.read_text().split()
        if call[0] in {"running", "-1"}:
            # it has a core or waits for one, or a page is being fetched
            return None
        if call[0] != FUTEX:
            return LIMIT_S
        of_interpreter = 0 <= int(call[1], 16) - self._runtime < RUNTIME_BYTES
        return None if of_interpreter else LOCK_LIMIT_S


def _starts_a_thread(frame: FrameType | None) -> bool:
    """Whether it waits for a new thread's first step, as the loop's executor does: on a loaded machine that takes as long as it likes."""
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False


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
        watchdog.running = True
        original(handle)
        watchdog.running = False
        took_s = time.thread_time() - begun_s
        if not watchdog.slowest or took_s > watchdog.slowest[0][0] or len(watchdog.slowest) < 10:
            watchdog.note(took_s, _describe(handle))

    # as the manager does: a collection of the whole heap of a test run is not what is measured, nor what pytest makes of each line of the log
    gc.collect()
    gc.freeze()
    sampler = _Sampler(watchdog)
    sampler.start()
    try:
        with daemon_logging(style="json"), patch.object(asyncio.Handle, "_run", measured):
            yield watchdog
    finally:
        sampler.end()
        gc.unfreeze()


def _describe(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        stack = task.get_stack(limit=1)
        where = f" at {stack[-1].f_code.co_filename.rpartition('/')[2]}:{stack[-1].f_lineno}" if stack else ""
        return f"{getattr(task.get_coro(), '__qualname__', task)}{where}"
    return getattr(callback, "__qualname__", repr(callback))
