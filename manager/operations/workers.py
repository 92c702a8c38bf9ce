"""Work that takes long or reads what strangers made, in processes that can be killed.

Owns the processes. Invariant: the loop waits for an answer or a deadline, never for the work itself.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import TimeoutError as PoolTimeoutError
from functools import partial
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from common.errors import CertcastError, Reason

WORKERS: Final = 2
READ_TIMEOUT_S: Final = 20.0
"""Reading an upload takes milliseconds; the slowest key that is allowed (RSA 8192) takes four seconds."""

MAKE_KEY_TIMEOUT_S: Final = 60.0
"""RSA 4096 takes one to five seconds, with a long tail."""

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of two processes, started at first use."""

    def __init__(self) -> None:
        # spawned, not forked: a fork of a process with threads and open databases inherits their locks
        self._pool = ProcessPool(max_workers=WORKERS, context=multiprocessing.get_context("spawn"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call] # pebble annotates most, not this
        await asyncio.to_thread(self._pool.join)

    async def run(self, timeout_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a worker; it and its answer must be picklable.

        Raises what it raises, or CertcastError TIMEOUT (the worker was killed) or INTERNAL (it died).
        """
        try:
            # off the loop, because the first call starts the processes
            future = await asyncio.to_thread(
                partial(self._pool.schedule, function, args=args, kwargs=kwargs, timeout=timeout_s)
            )
            return await asyncio.wrap_future(future)
        except (PoolTimeoutError, TimeoutError) as error:
            raise CertcastError(
                f"this took longer than {timeout_s:g} s and was stopped", reason=Reason.TIMEOUT
            ) from error
        except ProcessExpired as error:
            raise CertcastError("the worker died; see the log", reason=Reason.INTERNAL) from error
