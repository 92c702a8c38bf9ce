"""Copying a whole store from one database into another, on any engine.

Decides the order of tables, how much is in memory at once, and what counts as equal: every value of every
row. Its callers choose the databases, and keep others from writing to the source where nothing may be lost.
Invariant: sealed values stay sealed, and neither side reuses an id that was assigned once.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Table, func, insert, select, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import StorageError
from manager.store.engine import Database
from manager.store.tables import metadata
from manager.store.tables.running import RUNNING

BATCH_ROWS: Final = 100
"""Rows in memory at once; the largest common row, the list of trusted CAs as a payload, has about 230 KB."""

COPIED: Final = tuple(table for table in metadata.sorted_tables if table not in RUNNING)
"""The tables of a store, ordered so that each row comes after the rows that it refers to."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A database in a transaction: the source of a copy, read as a single snapshot, or its target."""

    database: Database
    connection: AsyncConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """Progress of a copy: `done` of `total` rows were copied, or compared."""

    step: Literal["copied", "compared"]
    done: int
    total: int


ProgressCallback = Callable[[CopyProgress], None]


def ignore_progress(_progress: CopyProgress) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Result of a copy.

    Its number of rows, and the highest id that each source table had assigned by then.
    """

    rows: int
    given: Mapping[str, int]


async def copy_rows(source: Side, target: Side, report: ProgressCallback = ignore_progress) -> Copied:
    """Replace the target's rows by the source's, and make its ids continue after the source's.

    Rows of running managers are not copied. Raises StorageError, which names the first row that the target
    cannot store.
    """
    total, done = await _count(source.connection), 0
    for table in reversed(COPIED):
        await target.connection.execute(table.delete())
    for table in COPIED:
        async for rows in _read(source.connection, table):
            await _insert(target.connection, table, rows)
            done += len(rows)
            report(CopyProgress(step="copied", done=done, total=total))
    given = await source.database.engine.ids_given(source.connection)
    await target.database.engine.set_ids_given(target.connection, given)
    return Copied(rows=total, given=given)


async def compare_rows(
    source: Side, target: Side, copied: Copied, report: ProgressCallback = ignore_progress
) -> None:
    """Compare every row of both sides. Raises StorageError, which names the first difference."""
    total, done = await _count(source.connection), 0
    for table in COPIED:
        counted = 0
        async for rows in _read(source.connection, table):
            found = await _same_rows(target.connection, table, rows)
            for row in rows:
                if found.get(_key(table, row)) != row:
                    raise StorageError(
                        f"{_place(table, row)} is not in the copy as it is in the store; nothing was changed"
                    )
            counted += len(rows)
            done += len(rows)
            report(CopyProgress(step="compared", done=done, total=total))
        there = (await target.connection.execute(select(func.count()).select_from(table))).scalar_one()
        if there != counted:
            raise StorageError(
                f"the copy has {there} rows in its table '{table.name}', and the store {counted}; nothing was changed"
            )
    # not the source's current ids: on PostgreSQL those of writers since then show in every transaction at
    # once
    given = await target.database.engine.ids_given(target.connection)
    if any(given.get(name, 0) < highest for name, highest in copied.given.items()):
        raise StorageError("the copy would give ids again that the store has given; nothing was changed")


async def _count(connection: AsyncConnection) -> int:
    total = 0
    for table in COPIED:
        total += int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
    return total


async def _read(connection: AsyncConnection, table: Table) -> AsyncIterator[Sequence[Row]]:
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH_ROWS)
    async with connection.stream(query) as result:
        async for part in result.mappings().partitions(BATCH_ROWS):
            yield [_by_key(table, row) for row in part]


async def _same_rows(
    connection: AsyncConnection, table: Table, rows: Sequence[Row]
) -> Mapping[tuple[Any, ...], Row]:
    """Return the target's rows with the same keys."""
    columns = tuple(table.primary_key)
    keys = [_key(table, row) for row in rows]
    wanted = columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else tuple_(*columns).in_(keys)
    result = (await connection.execute(select(table).where(wanted))).mappings()
    found = [_by_key(table, row) for row in result]
    return {_key(table, row): row for row in found}


async def _insert(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    try:
        async with connection.begin_nested():
            await connection.execute(insert(table), rows)
    except DBAPIError:
        for row in rows:  # find the one that failed
            await _insert_one(connection, table, row)


async def _insert_one(connection: AsyncConnection, table: Table, row: Row) -> None:
    try:
        async with connection.begin_nested():
            await connection.execute(insert(table), row)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise StorageError(
            f"{_place(table, row)} cannot be kept there: {_misfit(row)}; nothing was changed"
        ) from error


def _misfit(row: Row) -> str:
    """Say why a row is refused, without its values, which may be secret."""
    for name, value in row.items():
        if isinstance(value, str) and "\0" in value:
            return f"its '{name}' has a NUL character"
    return "the database refuses one of its values"


def _by_key(table: Table, row: Mapping[Any, Any]) -> Row:
    # results use columns' names and an INSERT their keys; it would silently ignore a name that is not a key
    return {column.key: row[column] for column in table.columns}


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.key] for column in table.primary_key)


def _place(table: Table, row: Row) -> str:
    # a key may be the digest of a secret, which helps nobody; a number leads to the entry
    numbers = [str(value) for value in _key(table, row) if isinstance(value, int)]
    return f"entry {numbers[0]} of '{table.name}'" if numbers else f"an entry of '{table.name}'"
