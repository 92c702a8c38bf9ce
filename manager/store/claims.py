"""Claims on a store: managers serve it, or it is being copied to another place; never both at a time.

Decides which managers may serve together: on a server any with different nodes, on a file just one.
Invariant: a claim belongs to the process that made it, and ends with that process, however it ends.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so

from common.errors import ConflictError, StorageError
from common.ids import NodeName
from common.runtime import durable

SERVING_FILE: Final = "serving.lock"
"""Lock file beside SQLite's database, held by the manager that serves it or by the process that copies it."""

SERVING_LOCK: Final = 0x73657276
"""Advisory lock ("serv") on a server: shared by managers that serve the store, exclusive for a copy."""

TRIED_EACH_S: Final = 30.0
"""How often a held connection is probed."""

TRY_S: Final = 3.0
"""How long a probe may take before the connection counts as lost."""

_TAKE: Final = "SELECT pg_try_advisory_lock($1)"
_SHARE: Final = "SELECT pg_try_advisory_lock_shared($1)"
"""Statements that take the lock without waiting."""


class HeldAloneError(ConflictError):
    """The store is being moved to another place, or is served by a manager that excludes others."""


class Unending:
    """A claim that no server can end: the lock of a file, which the kernel keeps while the file is open."""

    async def until_lost(self) -> None:
        """Never return."""
        await asyncio.Event().wait()


class OpenConnection:
    """A connection that is held open for its advisory lock or its subscription to changes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lost = asyncio.Event()
        connection.add_termination_listener(lambda _: self._lost.set())

    async def until_lost(self) -> None:
        """Return once the connection is closed or does not answer."""
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


async def claim_on(connection: Any, place: str, *, node: NodeName | None) -> OpenConnection:
    """Claim the store to serve it as this node, or without one to copy it, while the connection lives.

    Raises ConflictError, asyncpg's errors.
    """
    if node is None:
        if not await connection.fetchval(_TAKE, SERVING_LOCK):
            raise _taken(place)
        return OpenConnection(connection)
    if not await connection.fetchval(_SHARE, SERVING_LOCK):
        raise HeldAloneError(
            f"the store in {place} is being copied to another place, or a manager of an earlier release serves it, beside which none can: "
            "wait until the copy is done, or stop that manager"
        )
    if not await connection.fetchval(_TAKE, _lock_of(node)):
        raise ConflictError(
            f"the store in {place} is served as manager '{node}' already, by another process or on another machine: a copied directory "
            "is the same manager. Let the new machine join with an empty directory instead"
        )
    return OpenConnection(connection)


def _taken(place: str) -> ConflictError:
    return ConflictError(
        f"a manager serves the store in {place}, or it is being copied to another place: "
        "stop every manager that serves it first, or wait until the copy is done"
    )


def _lock_of(node: NodeName) -> int:
    """Return the number (64 bits) of the advisory lock for a manager's node."""
    return int.from_bytes(hashlib.sha256(f"serving as {node}".encode()).digest()[:8], signed=True)
