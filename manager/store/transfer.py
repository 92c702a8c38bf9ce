"""Copying a whole store from one place to another, which then holds the same store.

Decides who is locked out meanwhile. Invariant: the source is not written to and its file keeps every byte.
The target becomes a store only once every row in it was compared with the source's.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import ConflictError, StorageError
from manager.domain.audit import Verification
from manager.store.audit import CHAIN_KEY, CHAIN_KEY_IDENTITY
from manager.store.copying import ProgressCallback, Side, compare_rows, copy_rows
from manager.store.engine import Database
from manager.store.members import LEASE_S
from manager.store.place import StorePlace
from manager.store.schema import MIGRATIONS
from manager.store.sealing import Keyring
from manager.store.store import Store, engine_of
from manager.store.tables.content import meta
from manager.store.tables.running import member


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Result of a transfer; `audit` is the verification of the copy's audit log."""

    rows: int
    audit: Verification


async def transfer(
    source: StorePlace, target: StorePlace, keyring: Keyring, *, alone: bool, report: ProgressCallback
) -> Transfer:
    """Make at `target` the store that `source` has.

    `alone`: nobody serves or writes to the source until this is over, so that no change is left behind.
    Raises StorageError; NotFoundError if the source has no store; ConflictError if a manager serves it, if
    the target has one, or if the source's schema is another version's; InvalidInputError (a server that
    cannot hold a store).
    """
    made: list[Transfer] = []
    async with _reading(source, keyring, alone=alone) as original:

        async def fill(store: Store) -> None:
            async with store.side() as copy:
                copied = await copy_rows(original, copy, report)
                await compare_rows(original, copy, copied, report)
            made.append(Transfer(rows=copied.rows, audit=await store.audit.verify()))

        await (await Store.create(target, keyring, fill=fill)).close()
    return made[0]


@asynccontextmanager
async def _reading(place: StorePlace, keyring: Keyring, *, alone: bool) -> AsyncIterator[Side]:
    """Lend a snapshot of a store."""
    engine = engine_of(place)
    await engine.find()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(engine.untouched())
        if alone:
            await stack.enter_async_context(engine.claim(None))
        database = Database(engine, patient=True)
        stack.push_async_callback(database.close)
        connection = await stack.enter_async_context(database.write() if alone else database.read())
        await engine.forbid_writes(connection)
        await engine.check(connection, is_new=False)
        if not await connection.run_sync(_is_of_this_version):
            raise ConflictError(
                f"the store in {place} has the schema of another version; let this version serve it once, which brings it up to date"
            )
        if alone and engine.is_shared:
            await _check_nobody_is_cut_off(connection, place, now_s=await engine.now_s(connection))
        sealed = (await connection.execute(select(meta.c.value).where(meta.c.name == CHAIN_KEY))).scalar()
        if sealed is None:
            raise StorageError(f"the store in {place} has no key of its audit log; restore it from a backup")
        keyring.open(CHAIN_KEY_IDENTITY, bytes(sealed))  # fails now if these keys do not open the store
        yield Side(database=database, connection=connection)


async def _check_nobody_is_cut_off(connection: AsyncConnection, place: StorePlace, *, now_s: float) -> None:
    """Refuse while a manager has a lease.

    It may have lost its claim with its connection, and will renew it.
    """
    # a lease far ahead is from before the clock was set back: live managers have renewed theirs
    is_lease = member.c.renewed_s.between(now_s - LEASE_S, now_s + LEASE_S)
    query = select(member.c.node, member.c.renewed_s).where(is_lease)
    if (row := (await connection.execute(query)).first()) is not None:
        raise ConflictError(
            f"manager '{row.node}' served the store in {place} {max(now_s - row.renewed_s, 0):.0f} s ago, and did not say that it ended: "
            f"stop it if it runs, and try again in {LEASE_S:.0f} s"
        )


def _is_of_this_version(connection: Connection) -> bool:
    known = ScriptDirectory(str(MIGRATIONS)).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(known)
