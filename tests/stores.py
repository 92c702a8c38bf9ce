"""Stores with a value in every table and column, and their complete content for comparison."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.columns import CertificateTime, Moment
from manager.store.copying import COPIED
from manager.store.engine import Database
from manager.store.place import StorePlace
from manager.store.store import Store, engine_of
from manager.store.tables import metadata
from manager.store.tables.content import audit

FIRST: Final = 1001
"""The number of the first entry made here."""

SEALED_ALREADY: Final = {audit.name}
"""A table that is not filled with arbitrary values: its entries are sealed, so the manager's own code makes them."""

TEXTS: Final = (
    "plain",
    "two\r\nlines and a tab\t",
    "Zürich, 東京, \N{PILE OF POO}",
    "",
    'it\'s "quoted" \\ 100% :name $1 ?',
)


async def fill_every_table(store: Store, *, rows: int = 7) -> None:
    """Put rows with every kind of value into every table, use some ids that are deleted again, and log some acts."""
    async with store.side() as side:
        for table in metadata.sorted_tables:
            if table.name not in SEALED_ALREADY:
                made = [row_of(table, number) for number in range(rows)]
                await side.connection.execute(insert(table), made)
        for table in metadata.sorted_tables:
            if "id" in table.columns and table.name not in SEALED_ALREADY:
                await _give_and_take_back(side.connection, table, FIRST + rows + 20)
        given = await side.database.engine.ids_given(side.connection)
        await side.database.engine.set_ids_given(
            side.connection,
            {name: max(highest, FIRST + rows + 20) for name, highest in given.items() if name != "audit"},
        )
    for number in range(rows):
        await store.audit.append(
            at_s=float(number),
            actor="ann",
            action="test.done",
            subject=TEXTS[number % len(TEXTS)],
            detail={"n": number},
        )


async def _give_and_take_back(connection: AsyncConnection, table: Table, number: int) -> None:
    await connection.execute(insert(table), [row_of(table, number - FIRST, parent=0)])
    await connection.execute(table.delete().where(table.c.id == number))


def row_of(table: Table, number: int, *, parent: int | None = None) -> dict[str, Any]:
    """Return a row with this number; it refers to other tables' rows with its `parent`'s number, or its own."""
    parent = number if parent is None else parent
    return {column.key: _value(table, column, number, parent) for column in table.columns}


def _value(table: Table, column: Column[Any], number: int, parent: int) -> Any:
    if column.foreign_keys:
        return None if column.nullable and number % 3 == 0 else FIRST + parent
    if isinstance(column.type, Integer) and column.primary_key:
        return FIRST + number
    if column.nullable and number % 3 == 0:
        return None
    match column.type:
        case CertificateTime():
            return (None, 0, 253_402_300_799, -1, 1_900_000_000)[number % 5]
        case Boolean():
            return number % 2 == 0
        case Moment():
            return (0.0, 0.1 + 0.2, 1.7e9 + number / 3, -1.5, 1e300)[number % 5]
        case Integer():
            return number - 3
        case LargeBinary():
            return (b"", bytes(range(256)), secrets.token_bytes(5000))[number % 3]
        case String(length=length):
            unique = f"{table.name} {column.name} {number} "
            text = unique if column.primary_key or column.unique else ""
            return f"{text}{TEXTS[number % len(TEXTS)]}"[:length]
        case other:
            raise AssertionError(f"there is a kind of column that is not filled: {other!r}")


async def contents(place: StorePlace) -> Mapping[str, list[dict[str, Any]]]:
    """Return all rows of all copied tables, and the assigned ids, without opening the store as a manager does."""
    database = Database(engine_of(place), patient=True)
    try:
        async with database.read() as connection:
            found: dict[str, list[dict[str, Any]]] = {}
            for table in COPIED:
                rows = (await connection.execute(select(table))).mappings()
                found[table.name] = sorted(
                    (dict(row) for row in rows), key=lambda row: [str(row[c.key]) for c in table.primary_key]
                )
            given = await database.engine.ids_given(connection)
            found["ids given"] = [
                {"name": name, "highest": highest} for name, highest in sorted(given.items()) if highest
            ]
            return found
    finally:
        await database.close()
