"""Claims on a store: that a manager serves it, or that it is being copied to another place; one of these at a time.

Invariant: a claim is the process's that made it, and ends with it, however it ends.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so

from common.errors import ConflictError, StorageError
from common.runtime import durable

SERVING_FILE: Final = "serving.lock"
"""Beside SQLite's database: its lock is held by the manager that serves it, or by who copies it to another place."""

SERVING_LOCK: Final = 0x73657276
"""The advisory lock ("serv") that is the same on a server."""

TRIED_EACH_S: Final = 30.0
"""How often a connection that is kept is tried."""

TRY_S: Final = 3.0
"""How long that may take; then the connection counts as lost."""

_TAKE: Final = "SELECT pg_try_advisory_lock($1)"
"""How the lock is taken without waiting."""


class Unending:
    """No server can take it away: the lock of a file, which the kernel keeps for as long as that is open."""

    async def until_lost(self) -> None:
        """Never return."""
        await asyncio.Event().wait()


class OpenConnection:
    """A connection that is kept for what it holds: an advisory lock, or the ear for changes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lost = asyncio.Event()
        connection.add_termination_listener(lambda _: self._lost.set())

    async def until_lost(self) -> None:
        """Return when the connection is closed, or does not answer."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TRIED_EACH_S):
                    await self._lost.wait()
                return
            try:
                await self._connection.fetchval("SELECT 1", timeout=TRY_S)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                return


@contextmanager
def claim_file(database: Path) -> Iterator[Unending]:
    """Hold the lock of the file beside a database. Raises ConflictError, StorageError."""
    path = database.with_name(SERVING_FILE)
    try:
        descriptor = durable.open_lock(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _taken(str(database)) from error
    try:
        yield Unending()
    finally:
        os.close(descriptor)


async def claim_on(connection: Any, place: str) -> OpenConnection:
    """Take the lock on a connection to a server, for as long as that lives. Raises ConflictError, asyncpg's errors."""
    if not await connection.fetchval(_TAKE, SERVING_LOCK):
        raise _taken(place)
    return OpenConnection(connection)


def _taken(place: str) -> ConflictError:
    return ConflictError(
        f"a manager serves the store in {place}, or it is being copied to another place: "
        "stop that manager first, or wait until the copy is done"
    )
