"""Payload delivery: sends payloads from the store to connections that want them, or lets an offer carry them.

Decides how much may be in transit at once. Invariant: it writes and never waits for a peer, so a peer that
does not read delays only itself, until its deadline ends it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol
from weakref import WeakSet

import structlog

from common.errors import Reason, StorageError
from common.ids import Digest
from common.wire.sender import CARRIED_MAX_BYTES
from manager.channel.connection import Connection

log = structlog.get_logger(__name__)

CACHE_BYTES: Final = 32 * 1024 * 1024
"""Pushes of one wave want the same few payloads; a hundred trust stores fit."""

UNDER_WAY_BYTES: Final = 256 * 1024 * 1024
"""How many unsent bytes all transports may hold together: a thousand nodes that lack the trust store at once.
"""

RECOUNT_BYTES: Final = 8 * 1024 * 1024
"""How many bytes offers may carry until the bytes in transit are counted again."""

BATCH: Final = 256
"""How many requests share one query of the store."""

_POLL_S: Final = 0.01


class Payloads(Protocol):
    """The store of payloads."""

    async def payloads(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Return the existing ones, unsealed. Raises StorageError."""


class Delivery:
    """One queue of wants, served in order."""

    def __init__(self, source: Payloads) -> None:
        self._source = source
        self._wants: asyncio.Queue[tuple[Connection, str, tuple[Digest, ...]]] = asyncio.Queue()
        self._cache: OrderedDict[Digest, bytes] = OrderedDict()
        self._cached_bytes = 0
        # weak, since a connection may end long before the bytes are counted again
        self._draining: WeakSet[Connection] = WeakSet()
        self._counted_bytes = 0
        self._uncounted_bytes = 0

    def remember(self, payloads: Mapping[Digest, bytes]) -> None:
        """Keep payloads that a wave of pushes will need soon."""
        for digest, body in payloads.items():
            self._cached_bytes += len(body) - len(self._cache.get(digest, b""))
            self._cache[digest] = body
            self._cache.move_to_end(digest)
        while self._cached_bytes > CACHE_BYTES:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= len(dropped)

    def carry(self, connection: Connection, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Return these payloads for an offer to carry.

        Return none if some are missing, they are too large, or too much is in transit.
        """
        if any(digest not in self._cache for digest in digests):
            return {}
        payloads = {digest: self._cache[digest] for digest in digests}
        size_bytes = sum(map(len, payloads.values()))
        if size_bytes > CARRIED_MAX_BYTES or not self._may_carry(size_bytes):
            return {}
        self._draining.add(connection)
        return payloads

    def want(self, connection: Connection, push_id: str, digests: tuple[Digest, ...]) -> None:
        self._wants.put_nowait((connection, push_id, digests))

    async def run(self) -> None:
        """Serve requests until cancelled."""
        while True:
            # not kept in a variable, which would hold the connections until the next batch
            await self._serve(await self._next_batch())

    async def _next_batch(self) -> list[tuple[Connection, str, tuple[Digest, ...]]]:
        batch = [await self._wants.get()]
        while len(batch) < BATCH and not self._wants.empty():
            batch.append(self._wants.get_nowait())
        return batch

    async def _serve(self, batch: list[tuple[Connection, str, tuple[Digest, ...]]]) -> None:
        wanted = {digest for _, _, digests in batch for digest in digests}
        try:
            bodies = await self._load(wanted)
        except StorageError as error:
            log.error("store.failed", reason=error.reason, message=error.message)
            bodies = {}
        for connection, push_id, digests in batch:
            if any(digest not in bodies for digest in digests):
                connection.close(Reason.STORAGE)  # it dials again, and is offered again
                continue
            payloads = {digest: bodies[digest] for digest in digests}
            await self._room(sum(map(len, payloads.values())))
            connection.supply(push_id, payloads)
            if connection.unsent_bytes:
                self._draining.add(connection)

    async def _load(self, wanted: set[Digest]) -> Mapping[Digest, bytes]:
        bodies = {digest: self._cache[digest] for digest in wanted if digest in self._cache}
        for digest in bodies:
            self._cache.move_to_end(digest)
        missing = wanted - bodies.keys()
        if missing:
            loaded = await self._source.payloads(missing)
            self.remember(loaded)
            bodies |= loaded
        return bodies

    async def _room(self, size_bytes: int) -> None:
        while self._draining and self._unsent() + size_bytes > UNDER_WAY_BYTES:  # noqa: ASYNC110 - a transport has no event for this
            await asyncio.sleep(_POLL_S)

    def _may_carry(self, size_bytes: int) -> bool:
        # all offers of a wave are made in one turn of the loop: counting every connection's bytes for each
        # would take too long
        self._uncounted_bytes += size_bytes
        if self._uncounted_bytes > RECOUNT_BYTES:
            self._counted_bytes, self._uncounted_bytes = self._unsent(), size_bytes
        return self._counted_bytes + self._uncounted_bytes <= UNDER_WAY_BYTES

    def _unsent(self) -> int:
        self._draining = WeakSet(each for each in self._draining if each.unsent_bytes)
        return sum(connection.unsent_bytes for connection in self._draining)
