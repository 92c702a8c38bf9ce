"""Single values: the epoch, this store's identity, and the manager's own secrets."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.engine import Database
from manager.store.numbers import revision_of
from manager.store.sealing import Keyring
from manager.store.tables.content import meta

EPOCH: Final = "epoch"
CHECKED: Final = "checked"
HOST_KEY: Final = "ssh-host-key"
"""The manager's own secret by which nodes know it: a private key in PEM."""


VALUE: Final = "value:"
"""Prefix of the names of plain values in the table."""


class Meta:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def epoch(self) -> int:
        """Return the epoch, which begins at 1 and rises when a backup is restored."""
        return int(await self._get(EPOCH) or b"1")

    async def bump_epoch(self) -> int:
        """Raise the epoch, and return it."""
        async with self._database.write() as connection:
            known = (await connection.execute(select(meta.c.value).where(meta.c.name == EPOCH))).scalar()
            epoch = int(known or b"1") + 1
            await self._set(connection, EPOCH, str(epoch).encode())
        return epoch

    async def is_at(self, revision: int) -> bool:
        """Whether content has this revision.

        Within a transaction it stays so until the transaction writes.
        """
        async with self._database.read() as connection:
            return await revision_of(connection) == revision

    async def revision(self) -> int:
        """Return how often content has changed; equal revisions mean equal content."""
        if self._database.is_writing:
            raise RuntimeError("within a transaction it is not known yet which content a revision will name")
        async with self._database.read() as connection:
            return await revision_of(connection)

    async def next_revision(self) -> int:
        """Mark the open transaction as changing content; return the revision that it will leave."""
        if not self._database.is_writing:
            raise RuntimeError("only a transaction leaves content of a revision of its own")
        async with self._database.write() as connection:
            self._database.opened.touch()
            return await revision_of(connection) + 1

    async def get(self, name: str) -> bytes | None:
        """Return a plain value that `set` stored, None if there is none."""
        return await self._get(f"{VALUE}{name}")

    async def with_prefix(self, prefix: str) -> Mapping[str, bytes]:
        """Return the plain values whose names begin with this, by name."""
        whole = f"{VALUE}{prefix}"
        query = select(meta.c.name, meta.c.value).where(meta.c.name.startswith(whole, autoescape=True))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(meta.c.name))).all()
        # LIKE knows no case on SQLite
        return {row.name.removeprefix(VALUE): bytes(row.value) for row in rows if row.name.startswith(whole)}

    async def set(self, name: str, value: bytes) -> None:
        """Store a plain value; for a secret use `secret_set`."""
        async with self._database.write() as connection:
            await self._set(connection, f"{VALUE}{name}", value)

    async def remove(self, name: str) -> None:
        """Remove a plain value if it exists."""
        async with self._database.write() as connection:
            await connection.execute(delete(meta).where(meta.c.name == f"{VALUE}{name}"))

    async def secret_get(self, name: str) -> bytes | None:
        """Return a secret, unsealed, None if there is none."""
        sealed = await self._get(f"secret:{name}")
        return None if sealed is None else self._keyring.open(f"meta:{name}", sealed)

    async def secret_set(self, name: str, value: bytes) -> None:
        """Store a secret, sealed."""
        async with self._database.write() as connection:
            await self._set(connection, f"secret:{name}", self._keyring.seal(f"meta:{name}", value))

    async def secret_remove(self, name: str) -> None:
        """Remove a secret if it exists."""
        async with self._database.write() as connection:
            await connection.execute(delete(meta).where(meta.c.name == f"secret:{name}"))

    async def check(self, *, now_s: float) -> None:
        """Write the time, to see whether the store accepts writes. Raises StorageError."""
        async with self._database.write() as connection:
            await self._set(connection, CHECKED, str(now_s).encode())

    async def _get(self, name: str) -> bytes | None:
        async with self._database.read() as connection:
            value = (await connection.execute(select(meta.c.value).where(meta.c.name == name))).scalar()
        return None if value is None else bytes(value)

    async def _set(self, connection: AsyncConnection, name: str, value: bytes) -> None:
        await self._database.upsert(connection, meta, [{"name": name, "value": value}], key="name")
