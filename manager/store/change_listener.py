"""Listener for notifications of committed changes that other managers make.

A notification says only that something may have changed; the `Feed` says what. One may be lost, or come
without a change. On SQLite, where only one manager runs, none ever comes.
"""

import asyncio
from typing import Final

from common.errors import InvalidInputError, StorageError
from manager.store.backend import NoticeHandlers
from manager.store.engine import Database
from manager.store.tallies import Tallies

AGAIN_S: Final = 2.0
"""How long to wait before listening again on a server that does not answer."""


class ChangeListener:
    """Keep `run` running and call `wait` repeatedly. `tallies` receives the counts of other managers."""

    def __init__(self, database: Database, tallies: Tallies) -> None:
        self._database = database
        self._tallies = tallies
        self._notified = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled, on a separate connection that is reopened whenever it is lost."""
        handlers = NoticeHandlers(change=self._receive, tallies=self._tallies.receive)
        while True:
            try:
                async with self._database.listening(handlers) as lasting:
                    self._tallies.begin()
                    await lasting.until_lost()
            except (StorageError, InvalidInputError, OSError):  # callers that query the store report this
                await asyncio.sleep(AGAIN_S)

    async def wait(self) -> None:
        """Return once another manager may have changed something since the last call or (re)connection."""
        await self._notified.wait()
        self._notified.clear()

    def _receive(self, sender: str) -> None:
        if not sender or sender != self._database.sender:
            self._notified.set()
