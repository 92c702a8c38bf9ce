"""Connections of a pool to PostgreSQL: decides which ones may be lent again.

It judges a connection by what happened since its last use. Invariant: a connection that still owes an answer
is never lent.
"""

import asyncio
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError

from manager.store.postgresql_errors import LOST

TRY_S: Final = 2.0
"""How long a connection may take to answer before it is lent, else it counts as lost. Pages wait ten times as
long."""


def try_out(connection: Any, _record: object, _proxy: object) -> None:
    """Have a connection replaced before it is lent if the server closed it or no longer answers on it."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")
    try:
        connection.run_async(lambda opened: opened.fetchrow(";", timeout=TRY_S))
    except LOST as error:
        connection.driver_connection.terminate()
        # others of the same age are dead too: none of them costs another wait
        raise InvalidatePoolError("does not answer") from error
    except asyncio.CancelledError:
        # cancelled: the caller no longer waits, nor should closing
        connection.driver_connection.terminate()
        raise


def give_up_lost(context: ExceptionContext) -> None:
    """Drop a connection that owes an answer or whose server takes no writes, and all that are as old."""
    error = context.original_exception
    is_owed = isinstance(error, TimeoutError) or isinstance(error.__cause__, asyncpg.InternalClientError)
    if is_owed or getattr(error, "sqlstate", None) == "25006":
        context.is_disconnect = True
    if is_owed and context.connection is not None:
        # at once: a graceful close would wait for the answer
        cast("Any", context.connection.connection.driver_connection).terminate()
