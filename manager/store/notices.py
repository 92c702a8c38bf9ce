"""Notices on PostgreSQL: that something was changed, told with the transaction that changes it and heard once that is kept."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.claims import OpenConnection

CHANNEL: Final = "certcast"
"""The channel of NOTIFY, of which each database has its own."""


async def tell_on(connection: AsyncConnection, sender: str) -> None:
    """Let those who listen hear, once this transaction is kept, that `sender` may have changed something."""
    await connection.execute(select(func.pg_notify(CHANNEL, sender)))


async def listen_on(connection: Any, heard: Callable[[str], None]) -> OpenConnection:
    """Call `heard` with the sender of each notice, and once for all that may have been missed before. Raises asyncpg's errors."""
    await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, sender: heard(sender))
    heard("")
    return OpenConnection(connection)
