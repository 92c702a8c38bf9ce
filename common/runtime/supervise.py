"""Tasks with an owner: loops that are kept alive, and jobs whose failure is logged and harms nothing else.

Invariant: every task started here has ended when the `async with` block is left.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import ClassVar, Final, Self

import structlog

from common.errors import StorageError

log = structlog.get_logger(__name__)

RESTART_BASE_S: Final = 0.1
RESTART_CAP_S: Final = 30.0


def full_jitter(
    attempt: int, *, base_s: float, cap_s: float, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Return how long to wait before attempt number `attempt` (from 0): anything up to base x 2^attempt, capped.

    Source: the "full jitter" of exponential backoff, which spreads a herd best.
    """
    return uniform(0.0, min(cap_s, base_s * 2 ** min(attempt, 32)))


class Supervisor:
    """Owns a TaskGroup. `async with` it in the composition root; `stop` ends everything."""

    failures: ClassVar[int] = 0
    """The number of loops and jobs that ended with an error, in all supervisors of this process."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # the block's own error bypasses the group, which would wrap it in an ExceptionGroup
        await self._group.__aexit__(None, None, None)

    def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop forever: if it fails or returns, start it again after a jittered wait."""
        self._start(name, self._keep(name, loop))

    def run(self, name: str, job: Coroutine[object, object, None]) -> None:
        """Run a job once; a failure is logged and harms nothing else."""
        self._start(name, self._run(name, lambda: job))

    def stop(self) -> None:
        """Cancel everything; leaving the `async with` waits for it."""
        for task in self._tasks:
            task.cancel()

    def _start(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        task = self._group.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            started = asyncio.get_running_loop().time()
            await self._run(name, loop)
            if asyncio.get_running_loop().time() - started > RESTART_CAP_S:
                attempt = 0
            await asyncio.sleep(full_jitter(attempt, base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S))
            attempt += 1

    async def _run(self, name: str, begin: Callable[[], Awaitable[None]]) -> None:
        try:
            await begin()
        except StorageError as error:
            Supervisor.failures += 1
            # an unreachable store is not the task's fault: its message says enough, and a traceback would hide it
            log.error("task.failed", task=name, reason=error.reason, message=error.message)
        except Exception:  # logged, and contained here: a loop survives any error of one turn
            Supervisor.failures += 1
            log.exception("task.failed", task=name)
