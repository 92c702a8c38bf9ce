"""Notifications on PostgreSQL of a change.

Sent by the transaction that makes it, delivered when that commits.
"""

from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.backend import NoticeHandlers
from manager.store.claims import OpenConnection

CHANNEL: Final = "certcast"
"""The channel of NOTIFY; channels are separate in each database."""

TALLIES: Final = "certcast_tallies"
"""The channel for counts that managers keep in memory; it announces no change."""


async def tell_on(connection: AsyncConnection, sender: str) -> None:
    """Notify listeners on commit that `sender` may have changed something."""
    await connection.execute(select(func.pg_notify(CHANNEL, sender)))


async def tell_tallies_on(connection: AsyncConnection, text: str) -> None:
    """Send listeners this text on commit."""
    await connection.execute(select(func.pg_notify(TALLIES, text)))


async def listen_on(connection: Any, handlers: NoticeHandlers) -> OpenConnection:
    """Subscribe to changes and tallies; the first notice comes at once, for all that was missed.

    Raises asyncpg's errors.
    """
    await connection.add_listener(TALLIES, lambda _connection, _pid, _channel, text: handlers.tallies(text))
    await connection.add_listener(
        CHANNEL, lambda _connection, _pid, _channel, sender: handlers.change(sender)
    )
    handlers.change("")
    return OpenConnection(connection)
