"""Worker processes for slow work and untrusted input; they can be killed.

Owns the processes. Invariant: the event loop waits for an answer or a deadline, never for the work itself.
However a task ends, later tasks still run.
"""

import asyncio
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import TimeoutError as PoolTimeoutError
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from common.errors import CertcastError, Reason
from common.runtime.log import ignore_known_warnings
from common.runtime.memory import keep_private

WORKERS: Final = 2
READ_TIMEOUT_S: Final = 20.0
"""Parsing an upload takes milliseconds; the slowest allowed key (RSA 8192) takes four seconds."""

MAKE_KEY_TIMEOUT_S: Final = 60.0
"""RSA 4096 takes one to five seconds, with a long tail."""

EXPORT_TIMEOUT_S: Final = 60.0
"""Stretching a passphrase takes a second or two; loading and writing a thousand RSA keys takes ten."""

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of two processes, started at first use."""

    def __init__(self) -> None:
        self._pool = _new_pool()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._pool.stop()  # type: ignore[no-untyped-call] # pebble annotates most, not this
        await asyncio.to_thread(self._pool.join)

    async def run(self, timeout_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a worker; its arguments and result must be picklable.

        Raises the function's own errors, or CertcastError TIMEOUT (the worker was killed), INTERNAL (it died)
        or BUSY (the workers are being stopped).
        """
        try:
            # off the loop, because the first call starts the processes
            future = await asyncio.to_thread(self._schedule, timeout_s, function, args, kwargs)
            answer: T = await asyncio.wrap_future(future)
        except (PoolTimeoutError, TimeoutError) as error:
            raise CertcastError(
                f"this took longer than {timeout_s:g} s and was stopped", reason=Reason.TIMEOUT
            ) from error
        except (ProcessExpired, BrokenProcessPool, pickle.PicklingError) as error:
            raise CertcastError(
                "the process that does this work ended unexpectedly", reason=Reason.INTERNAL
            ) from error
        return answer

    def _schedule(
        self, timeout_s: float, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "ProcessFuture[T]":
        if self._closed:
            raise CertcastError("the manager is stopping", reason=Reason.BUSY)
        if not self._pool.active:
            # a broken pool stays broken; its processes have ended by then
            self._pool = _new_pool()
        return self._pool.schedule(_guarded, args=(function, args, kwargs), timeout=timeout_s)


def _new_pool() -> ProcessPool:
    # spawned, not forked: a fork of a process with threads and open databases inherits their locks
    return ProcessPool(
        max_workers=WORKERS,
        context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )


def _begin() -> None:
    """Initialise a worker process, which handles keys and passphrases: protect it like a separate program."""
    keep_private()
    ignore_known_warnings()


def _guarded(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """Call a function in the worker.

    An error that cannot be unpickled by the caller would break the pool, so it is replaced by one that names
    it.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if _travels(error):
            raise
        named = f"the worker failed with {type(error).__name__}"
        reason = error.reason if isinstance(error, CertcastError) else Reason.INTERNAL
        raise CertcastError(named, reason=reason) from None


def _travels(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object, made a moment ago
    except Exception:  # noqa: BLE001 - whatever a foreign class does here, it does not travel
        return False
    return True
