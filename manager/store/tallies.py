"""Tallies of a store: each manager tells the others of what it counts in memory, and hears what they do.

A notification is not a write, and waits for no writer: whoever makes others count (by guessing passwords, say) keeps no transaction waiting, and
costs one notification each TELL_EACH_S, whatever comes. What is lost with one is what was counted within that time; while the database is
away each manager counts alone. Where one manager is alone (SQLite) nothing of it runs.
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
"""Whoever waits for a turn is compared with all who wait, again and again."""

PURPOSE: Final = "tallies"

TallyListener = Callable[[bytes, int], None]
"""Told of what another manager counted: the digest of whose it is, and how often."""


class Tallies:
    """`run` it; `count` what is counted here, and give `listen` what hears of the others'."""

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
        """Return what stands for whose it is."""
        return self._digest(tally, whose)

    def listen(self, tally: Tally, listener: TallyListener) -> None:
        """Call `listener` from now on with what other managers count."""
        self._listeners.setdefault(tally, []).append(listener)

    def count(self, tally: Tally, *whose: str) -> None:
        """Tell the others soon that this was counted here."""
        if self._database.is_shared:
            self._gathered.add((tally, self.digest(tally, *whose)))
            self._wanted.set()

    async def run(self) -> None:
        """Tell what is gathered until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(TELL_EACH_S)
            try:
                await self.tell()
            except StorageError:  # whoever asks the store meanwhile says so
                self._wanted.set()

    async def tell(self) -> None:
        """Tell what is gathered, as much as one message has room for. Raises StorageError; then it is told later."""
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
        """Believe what is told from now on."""
        self._believed.begin(self._database.clock.now_s())

    def receive(self, text: str) -> None:
        """Take a message, whoever sent it: PostgreSQL lets everybody notify who may connect to the database."""
        message = decode(self._key, text)
        if message is None or message.member == self._database.acting or not self._believed.is_new(message):
            return
        for (tally, digest), times in message.entries.items():
            for heard in self._listeners.get(tally, ()):
                heard(digest, times)
