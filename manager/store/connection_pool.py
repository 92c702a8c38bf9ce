"""Connections of a pool to PostgreSQL: which may be lent again.

Decides by what has become of a connection since it was used. Invariant: one whose answer is still owed is lent to nobody.
"""

import asyncio
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError

from manager.store.postgresql_errors import LOST

TRY_S: Final = 2.0
"""How long a connection may take to answer before it is lent; then it counts as lost. What a page waits for would wait for ten times as long."""


def try_out(connection: Any, _record: object, _proxy: object) -> None:
    """Let a connection that the server closed, or that leads nowhere any more, be replaced before it is lent."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")
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
