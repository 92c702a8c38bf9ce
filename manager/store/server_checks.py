"""Checks of a new connection to a PostgreSQL server.

Whether a store can be kept there, and its session settings.

Invariant: an admitted connection takes writes, names on it mean tables of a single schema, and no setting
made for all users ends it while it is idle.
"""

from dataclasses import dataclass
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so

from common.errors import InvalidInputError, Reason
from manager.store.address import FIELD, ServerAddress
from manager.store.message_screen import NotAcceptedError

SERVER_VERSION_MIN: Final = 13
"""The oldest version that PostgreSQL still maintained when this was written."""

ENCODING: Final = "UTF8"

REPLICA: Final = (
    "it is a replica, which takes no writes; let the URL name the primary, too, or make this one the primary"
)
FROZEN: Final = (
    "it takes no writes from '{user}' in the database '{name}': default_transaction_read_only is on there; "
    "take that back with ALTER DATABASE or ALTER ROLE, or in postgresql.conf"
)
NO_SCHEMA: Final = "the search_path of '{user}' names no schema that is there and may be used; correct it with ALTER ROLE, or make the schema"

_STATE: Final = """
SELECT pg_catalog.pg_is_in_recovery() AS is_replica,
       pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_frozen,
       pg_catalog.current_schema() AS schema
"""

_TIMELINE: Final = (
    "SELECT pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())::pg_catalog.text, 8)"
)
"""Differs on each server that took over from a primary, or was restored to a point in time."""

_UNTOLD: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.UndefinedFunctionError,
)
"""Errors of servers that do not tell their timeline, such as some hosted ones."""

_SETTLED: Final = """
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')
UNION ALL SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), false)
"""
"""Undoes limits that an administrator may have set for everybody, and that older servers do not know. Ending
an idle connection would cost somebody an error, and a serving manager its claim; a copy is one long
transaction. Names are then looked up in a single schema: others' tables and functions of the same names are
not meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    is_replica: bool
    is_frozen: bool
    schema: str | None


async def settle(connection: Any, address: ServerAddress, *, at: str, schema: str | None) -> str:
    """Check the server and the database, and apply the session settings.

    `schema` is where names are looked up; None selects the first of the role's search_path, where tables are
    made. Returns it for later connections, so that schemas made meanwhile change nothing. Raises
    NotAcceptedError, InvalidInputError, asyncpg's errors.
    """
    version, encoding = connection.get_server_version().major, connection.get_settings().server_encoding
    if version < SERVER_VERSION_MIN:
        raise InvalidInputError(
            FIELD, f"{at} is version {version}, and must be {SERVER_VERSION_MIN} or later"
        )
    if encoding != ENCODING:
        raise InvalidInputError(
            FIELD,
            f"the database {address} has the encoding {encoding}, and must have {ENCODING}; "
            "make one with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )
    first = _checked(_State(**dict(await connection.fetchrow(_STATE))))
    schema = schema or first
    await connection.fetch(_SETTLED, schema)
    for name in ("text", "varchar"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_escaped, decoder=_unescaped, format="text"
        )
    return schema


async def timeline_of(connection: Any) -> str:
    """Return the server's timeline; "", which never changes, if it does not tell. Raises asyncpg's errors."""
    try:
        return str(await connection.fetchval(_TIMELINE))
    except _UNTOLD:
        return ""


def _checked(state: _State) -> str:
    if state.is_replica:
        raise NotAcceptedError(REPLICA)
    if state.is_frozen:
        raise NotAcceptedError(FROZEN)
    if state.schema is None:
        raise NotAcceptedError(NO_SCHEMA, Reason.NOT_FOUND)
    return state.schema


def _escaped(value: str) -> str:
    # PostgreSQL allows no NUL in text, but people's files have some: this keeps them, and their order
    return value.replace("\1", "\0011").replace("\0", "\0010")


def _unescaped(value: str) -> str:
    return value.replace("\0010", "\0").replace("\0011", "\1") if "\1" in value else value
