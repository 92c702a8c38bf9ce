"""SQLite queries in the calling thread: millions run one after another here, so handing each to a thread is slow."""

from collections.abc import Callable
from typing import Any

import pytest
from aiosqlite import Connection

from manager.store import sqlite_driver


def query_in_place(patch: pytest.MonkeyPatch) -> None:
    """Make connections opened until the patch is undone run in the calling thread."""
    patch.setattr(Connection, "_connect", _connect)
    patch.setattr(Connection, "_execute", _execute)
    patch.setattr(sqlite_driver.SqliteConnection, "call_later", _call_now)


async def _connect(connection: Any) -> Any:
    if connection._connection is None:
        connection._connection = connection._connector()
    return connection


async def _execute(connection: Any, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
    return act(*given, **named)


def _call_now(_connection: Any, act: Callable[[], None]) -> None:
    act()
