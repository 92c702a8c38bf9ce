"""Listener for notifications of changes that other managers make, as soon as they are kept.

A notification says only that something may have changed; what did is in the `Feed`. It may be lost, and come without need.
Where one manager is alone (SQLite) none ever comes.
"""

import asyncio
from typing import Final

from common.errors import InvalidInputError, StorageError
from manager.store.backend import NoticeHandlers
from manager.store.engine import Database
from manager.store.tallies import Tallies

AGAIN_S: Final = 2.0
"""How long to wait before listening again, on a server that does not answer."""


class ChangeListener:
    """`run` it, and `wait` again and again. `tallies` gets what managers count."""

    def __init__(self, database: Database, tallies: Tallies) -> None:
        self._database = database
        self._tallies = tallies
        self._notified = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled, on a connection of its own, which is made again whenever it is lost."""
        handlers = NoticeHandlers(change=self._receive, tallies=self._tallies.receive)
        while True:
            try:
                async with self._database.listening(handlers) as lasting:
                    self._tallies.begin()
                    await lasting.until_lost()
            except (StorageError, InvalidInputError, OSError):  # whoever asks the store meanwhile says so
                await asyncio.sleep(AGAIN_S)

    async def wait(self) -> None:
        """Return once another manager may have changed something since this was called last, or since `run` listens (again)."""
        await self._notified.wait()
        self._notified.clear()

    def _receive(self, sender: str) -> None:
        if not sender or sender != self._database.sender:
            self._notified.set()
