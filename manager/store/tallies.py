"""Tallies of a store: each manager tells the others what it counts in memory.

A notification is not a write, and waits for no writer. An attacker who drives up counts (by guessing
passwords, say) blocks no transaction, and costs one notification each TELL_EACH_S at most. A lost
notification loses the counts of that time; while the database is unreachable, each manager counts alone. On
SQLite, with its one manager, nothing runs.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from common.errors import StorageError
from manager.domain.tallies import Believed, Gathered, Tally, TallyMessage, decode, digest_of, encode
from manager.store.engine import Database
from manager.store.sealing import Keyring

TELL_EACH_S: Final = 0.5

DIGESTS_KEPT: Final = 4096
"""Limits the queue, because each new entry is compared with all that wait."""

PURPOSE: Final = "tallies"

TallyListener = Callable[[bytes, int], None]
"""Called with another manager's count: the digest of its subject, and how often."""


class Tallies:
    """Keep `run` running, `count` what happens here, and `listen` for the counts of other managers."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._key = keyring.derive(PURPOSE)
        self._gathered = Gathered()
        self._believed = Believed()
        self._told_s = 0.0
        self._listeners: dict[Tally, list[TallyListener]] = {}
        self._wanted = asyncio.Event()
        self._digest = lru_cache(DIGESTS_KEPT)(partial(digest_of, self._key))

    def digest(self, tally: Tally, *whose: str) -> bytes:
        """Return the digest that stands for a subject."""
        return self._digest(tally, whose)

    def listen(self, tally: Tally, listener: TallyListener) -> None:
        """Call `listener` from now on with the counts of other managers."""
        self._listeners.setdefault(tally, []).append(listener)

    def count(self, tally: Tally, *whose: str) -> None:
        """Count one event, which the others are told of soon."""
        if self._database.is_shared:
            self._gathered.add((tally, self.digest(tally, *whose)))
            self._wanted.set()

    async def run(self) -> None:
        """Send the gathered counts until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(TELL_EACH_S)
            try:
                await self.tell()
            except StorageError:  # callers that query the store report this
                self._wanted.set()

    async def tell(self) -> None:
        """Send as many gathered counts as fit one message. Raises StorageError; then they are sent later."""
        self._wanted.clear()
        member, entries = self._database.acting, self._gathered.take()
        if member is None or not entries:
            return
        self._told_s = max(self._database.clock.now_s(), self._told_s + 0.001)
        text = encode(self._key, TallyMessage(member=member, at_s=self._told_s, entries=entries))
        try:
            async with self._database.beside() as connection:
                await self._database.tell_tallies(connection, text)
        except StorageError:
            for counted, times in entries.items():
                self._gathered.add(counted, times)
            raise
        if self._gathered:
            self._wanted.set()

    def begin(self) -> None:
        """Accept counts of others from now on."""
        self._believed.begin(self._database.clock.now_s())

    def receive(self, text: str) -> None:
        """Take a message from any sender.

        PostgreSQL lets everybody notify who may connect to the database.
        """
        message = decode(self._key, text)
        if message is None or message.member == self._database.acting or not self._believed.is_new(message):
            return
        for (tally, digest), times in message.entries.items():
            for heard in self._listeners.get(tally, ()):
                heard(digest, times)
