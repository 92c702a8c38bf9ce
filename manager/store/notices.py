"""Notices on PostgreSQL: that something was changed, told with the transaction that changes it and heard once that is kept."""

from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.backend import NoticeHandlers
from manager.store.claims import OpenConnection

CHANNEL: Final = "certcast"
"""The channel of NOTIFY, of which each database has its own."""

TALLIES: Final = "certcast_tallies"
"""The one for what managers count in memory: it says nothing of any change."""


async def tell_on(connection: AsyncConnection, sender: str) -> None:
    """Notify the listeners, once this transaction is kept, that `sender` may have changed something."""
    await connection.execute(select(func.pg_notify(CHANNEL, sender)))


async def tell_tallies_on(connection: AsyncConnection, text: str) -> None:
    """Notify the listeners of this text, once this transaction is kept."""
    await connection.execute(select(func.pg_notify(TALLIES, text)))


async def listen_on(connection: Any, handlers: NoticeHandlers) -> OpenConnection:
    """Hear of changes, at once of all that may have been missed before, and of tallies. Raises asyncpg's errors."""
    await connection.add_listener(TALLIES, lambda _connection, _pid, _channel, text: handlers.tallies(text))
    await connection.add_listener(
        CHANNEL, lambda _connection, _pid, _channel, sender: handlers.change(sender)
    )
    handlers.change("")
    return OpenConnection(connection)
