"""Long answers to strangers: how many are sent at once, in which pieces, and which is cut while others wait.

Decides with `manager.http.turnstile`. Invariant: a reader that takes nothing keeps its place only while
nobody waits for one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from common.source import source_of
from manager.http.turnstile import Pace, Turnstile

PIECE_BYTES: Final = 64 * 1024
"""Longer answers are encrypted and buffered in pieces: a whole one would block the loop and stay in memory
for a reader that does not read.
"""

PACE: Final = Pace(burst=100.0, per_s=150.0, each_burst=50.0, each_per_s=50.0)
"""How much strangers may be sent in long answers, in units of PIECE_BYTES. The API's description has 20 and
takes 8 ms to send.
"""

AT_ONCE: Final = 64
"""How many long answers to strangers may be sent at once. An unread one takes some 300 KiB until it is cut."""

UNREAD_S: Final = 2.0
"""A reader that has taken nothing for this long gives way to waiting ones. A piece of 64 KiB takes about as
long at 256 kbit/s.
"""

UNREAD_CHECK_S: Final = 0.5
"""How often a waiting request looks for a stalled reader."""


class WaitingConnection(Protocol):
    """The connection of a waiting request."""

    def note_waiting(self, leave: Callable[[], None]) -> None:
        """Offer the place to others, and call `leave` if the connection ends."""


class InPieces(Payload):
    """An answer sent in pieces of its own bytes; aiohttp would copy a whole BytesIO for each reader.

    `taken_s` is when the reader took the latest piece.
    """

    _value: bytes

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)
        self.taken_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send this many bytes, each piece after the previous one was taken."""
        whole = memoryview(self._value)[:content_length]
        for start in range(0, len(whole), PIECE_BYTES):
            await writer.write(whole[start : start + PIECE_BYTES])
            await writer.drain()
            self.taken_s = time.monotonic()


def split_long(response: web.Response) -> InPieces | None:
    """Mark a long answer to be sent in pieces and return them; return None for a short one."""
    if not isinstance(response.body, bytes) or len(response.body) <= PIECE_BYTES:
        return None
    response.body = pieces = InPieces(response.body)
    return pieces


class LongAnswers:
    def __init__(self, pace: Pace = PACE, *, at_once: float = AT_ONCE) -> None:
        self.turns = Turnstile(pace, at_once=at_once)
        self._sent: dict[InPieces, web.Request] = {}

    @asynccontextmanager
    async def turn(
        self, pieces: InPieces, request: web.Request, seat: WaitingConnection | None
    ) -> AsyncIterator[None]:
        """Send a long answer within the block, once it is its turn."""
        source = source_of(request.remote or "")
        turn = self.turns.ask(source, weight=len(pieces) / PIECE_BYTES)
        if seat is not None:
            seat.note_waiting(lambda: self.turns.leave(source, turn))
        try:
            while not turn.done():
                self._give_up_unread()
                await asyncio.wait({turn}, timeout=UNREAD_CHECK_S)
            pieces.taken_s = time.monotonic()
            self._sent[pieces] = request
            yield
        finally:
            self._sent.pop(pieces, None)
            self.turns.leave(source, turn)
            if turn.result():
                self.turns.end()

    def _give_up_unread(self) -> None:
        """If all places are taken, cut the answer that has stalled longest, if it has stalled long enough."""
        if not self.turns.is_full or not self._sent:
            return
        longest = min(self._sent, key=lambda pieces: pieces.taken_s)
        if longest.taken_s + UNREAD_S > time.monotonic():
            return
        request = self._sent.pop(longest)
        if request.transport is not None:
            request.transport.abort()
