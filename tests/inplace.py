"""Queries of SQLite without the thread that each is handed to: millions of them follow one another here, and none runs beside another."""

from collections.abc import Callable
from typing import Any

import pytest
from aiosqlite import Connection

from manager.store import sqlite_driver


def query_in_place(patch: pytest.MonkeyPatch) -> None:
    """Let every connection that is opened until the patch is undone be used where it is called from."""
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
