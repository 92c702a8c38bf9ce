"""Claims on a store: that managers serve it, or that it is being copied to another place and none may.

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
"""Beside SQLite's database: a manager that serves it holds its lock together with others, who copies it to another place alone."""

SERVING_LOCK: Final = 0x73657276
"""The advisory lock ("serv") that is the same on a server."""

TRIED_EACH_S: Final = 30.0
"""How often the connection that holds it is tried."""

TRY_S: Final = 3.0
"""How long that may take; then the connection counts as lost."""

_TAKE: Final = {
    False: "SELECT pg_try_advisory_lock_shared($1)",
    True: "SELECT pg_try_advisory_lock($1)",
}
"""How the lock is taken without waiting, by whether it is to be held alone."""


class FileClaim:
    """The lock of a file is held."""

    async def until_lost(self) -> None:
        """Never return: the kernel keeps a lock for as long as its file is open."""
        await asyncio.Event().wait()


class ServerClaim:
    """A connection holds an advisory lock."""

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
def claim_file(database: Path, *, alone: bool) -> Iterator[FileClaim]:
    """Hold the lock of the file beside a database. Raises ConflictError, StorageError."""
    path = database.with_name(SERVING_FILE)
    try:
        descriptor = durable.open_lock(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _contradicted(str(database), alone=alone) from error
    try:
        yield FileClaim()
    finally:
        os.close(descriptor)


async def claim_on(connection: Any, place: str, *, alone: bool) -> ServerClaim:
    """Take the lock on a connection to a server, for as long as that lives. Raises ConflictError, asyncpg's errors."""
    if not await connection.fetchval(_TAKE[alone], SERVING_LOCK):
        raise _contradicted(place, alone=alone)
    return ServerClaim(connection)


def _contradicted(place: str, *, alone: bool) -> ConflictError:
    if alone:
        return ConflictError(
            f"a manager serves the store in {place}: stop it first, and others if there are several"
        )
    return ConflictError(
        f"the store in {place} is being copied to another place; start again when that is over"
    )
