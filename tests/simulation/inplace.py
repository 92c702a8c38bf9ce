"""Queries of SQLite without the thread that each is handed to: millions of them follow one another here, and none runs beside another."""

from collections.abc import Callable
from typing import Any

import pytest
from aiosqlite import Connection


def query_in_place() -> None:
    """Let every connection that is opened from now on in this process be used where it is called from."""
    pytest.MonkeyPatch().setattr(Connection, "_connect", _connect)
    pytest.MonkeyPatch().setattr(Connection, "_execute", _execute)


async def _connect(connection: Any) -> Any:
    if connection._connection is None:
        connection._connection = connection._connector()
    return connection


async def _execute(connection: Any, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
    return act(*given, **named)
