"""Connections of a pool to PostgreSQL: which may be lent again.

Decides by what has become of a connection since it was used. Invariant: one whose answer is still owed is lent to nobody.
"""

import asyncio
import time
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from manager.store.refusals import LOST

IDLE_TRUST_S: Final = 0.1
"""A connection that rested for longer is tried before it is lent."""

TRY_S: Final = 2.0
"""How long that may take; then the connection counts as lost."""


def note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    """Note when a connection was given back."""
    record.info["used_s"] = time.monotonic()


def try_out(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Let a connection that the server closed, or that leads nowhere any more, be replaced before it is lent."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")
    if time.monotonic() - record.info.get("used_s", float("inf")) < IDLE_TRUST_S:
        return
    try:
        connection.run_async(lambda opened: opened.fetchrow(";", timeout=TRY_S))
    except LOST as error:
        connection.driver_connection.terminate()
        # neither will those that are as old: none of them costs another wait
        raise InvalidatePoolError("does not answer") from error
    except asyncio.CancelledError:
        # whoever wanted it waits no longer, and not for a farewell either
        connection.driver_connection.terminate()
        raise


def give_up_lost(context: ExceptionContext) -> None:
    """Let a connection go on which an answer is still owed, or whose server takes no writes any more, and with it all that are as old."""
    error = context.original_exception
    is_owed = isinstance(error, TimeoutError) or isinstance(error.__cause__, asyncpg.InternalClientError)
    if is_owed or getattr(error, "sqlstate", None) == "25006":
        context.is_disconnect = True
    if is_owed and context.connection is not None:
        # at once: a farewell would wait for what is owed
        cast("Any", context.connection.connection.driver_connection).terminate()
