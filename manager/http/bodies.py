"""Request bodies: counted, timed and accounted for as they arrive, before any parser sees them.

Decides how large a body may be, how long it may take, how slowly and in how small pieces it may arrive, and
how many bytes of bodies may be in memory at once. Every route reads its body here. Invariant: a refused body
is not read any further, and a client whose body would be refused is never told to continue (`100 Continue`).
"""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from aiohttp import hdrs, web

from common.api.codes import Role
from common.errors import CertcastError, InvalidInputError, Reason
from manager.http.exception_frames import drop_frames
from manager.http.queueing import FairQueue, Limit

BODY_MAX_BYTES: Final = 12 * 1024 * 1024
"""The largest upload is an import of 8 MiB of files, in base64. Only administrators upload."""

ORDINARY_MAX_BYTES: Final = 1024 * 1024
"""For all other users: the ids of 10,000 certificates are 70 KB."""

STRANGER_MAX_BYTES: Final = 16 * 1024
"""For a client that is not signed in: a name and a password."""

BODY_TIMEOUT_S: Final = 30.0
"""aiohttp itself never ends a body that arrives in drips."""

GRACE_S: Final = 5.0
RATE_BYTES_S: Final = 32 * 1024
"""A body must arrive at this rate after GRACE_S, because a slow one holds its memory all the while."""

PIECES_FREE: Final = 1000
PIECE_MIN_BYTES: Final = 64
"""Each chunk costs microseconds; beyond PIECES_FREE, chunks must have this size on average."""

YIELD_BYTES: Final = 128 * 1024
"""How many bytes are read without a pause when they have already arrived."""

YIELD_PIECES: Final = 200
"""How many pieces are read without a pause: small pieces take long for little data."""

VALUES_MAX: Final = 100_000
"""Values in one JSON body; each becomes an object. A change of 1,000 objects has some 20,000."""

NAME_SHOWN: Final = 40
"""How many characters of a submitted name a refusal repeats."""

INLINE_MAX_BYTES: Final = 64 * 1024
"""JSON up to this size is decoded on the event loop: a thread would cost more."""

_MIB: Final = 1024 * 1024
_WAIT_S: Final = 10.0

POOLS: Final[Sequence[tuple[int, Limit]]] = (
    (
        64 * 1024,
        Limit(
            what="requests with small bodies",
            in_all=8 * _MIB,
            each=_MIB,
            waiting_in_all=500,
            waiting_each=100,
            wait_s=_WAIT_S,
        ),
    ),
    (
        ORDINARY_MAX_BYTES,
        Limit(
            what="requests with large bodies",
            in_all=8 * _MIB,
            each=2 * _MIB,
            waiting_in_all=100,
            waiting_each=20,
            wait_s=_WAIT_S,
        ),
    ),
    (
        BODY_MAX_BYTES,
        Limit(
            what="uploads",
            in_all=2 * BODY_MAX_BYTES,
            each=BODY_MAX_BYTES,
            waiting_in_all=20,
            waiting_each=10,
            wait_s=_WAIT_S,
        ),
    ),
)
"""Bodies by size, so that large ones never keep small ones out. With STRANGERS, this bounds the memory of all
bodies.
"""

STRANGERS: Final = Limit(
    what="forms from your address",
    in_all=8 * _MIB,
    each=16 * STRANGER_MAX_BYTES,
    waiting_in_all=200,
    waiting_each=20,
    wait_s=_WAIT_S,
)
"""Separate, and by address, so that signed-in users notice nothing."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_MARKS: Final = (b",", b"[", b"{", b":")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySender:
    """The sender of a body.

    `owner` is charged for it: a user's name or, for a stranger, the address. `most` is its limit in bytes.
    """

    owner: str
    most: int
    is_stranger: bool = False


def sender_of(name: str, role: Role) -> BodySender:
    """Return a user as the sender of a body."""
    return BodySender(owner=name, most=BODY_MAX_BYTES if role is Role.ADMINISTRATOR else ORDINARY_MAX_BYTES)


class Bodies:
    """The request bodies in memory."""

    def __init__(self) -> None:
        self.strangers = FairQueue(STRANGERS)
        self.pools = tuple((size, FairQueue(limit)) for size, limit in POOLS)

    async def read(self, request: web.Request, sender: BodySender, kept: AsyncExitStack) -> bytearray:
        """Read a body within the limits. Its bytes stay accounted for until `kept` is closed.

        Raises InvalidInputError, CertcastError UNSUPPORTED for a compressed body, OverloadedError.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise CertcastError(
                "a compressed body is not accepted; send it uncompressed", reason=Reason.UNSUPPORTED
            )
        if request.content.at_eof():
            return bytearray()
        size = request.content_length
        if size is None and sender.is_stranger:
            raise InvalidInputError("", "the body needs a Content-Length header")
        if size is not None and size > sender.most:
            raise _too_big(sender.most)
        reading = _Reading(self, sender, kept)
        await reading.make_room(size)
        await _send_continue(request)
        try:
            with drop_frames():
                return await reading.receive(request)
        except TimeoutError as error:
            raise InvalidInputError(
                "",
                f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s, or came slower than {RATE_BYTES_S // 1024} KiB a second",
            ) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise InvalidInputError("", "the body ended early") from error


class _Reading:
    """One body being read."""

    def __init__(self, bodies: Bodies, sender: BodySender, kept: AsyncExitStack) -> None:
        self._bodies, self._sender, self._kept = bodies, sender, kept
        self._room = 0

    async def make_room(self, size: int | None) -> None:
        """Reserve this many bytes. None, for a body without a length, reserves from the next larger pool."""
        if self._sender.is_stranger:
            await self._kept.enter_async_context(self._bodies.strangers.take(self._sender.owner, size or 0))
            return
        wanted = self._room + 1 if size is None else size
        most, queue = next((most, queue) for most, queue in self._bodies.pools if most >= wanted)
        self._room = most if size is None else size
        await self._kept.enter_async_context(queue.take(self._sender.owner, self._room))

    async def receive(self, request: web.Request) -> bytearray:
        """Read to the end or to the limit. Raises InvalidInputError, TimeoutError."""
        loop = asyncio.get_running_loop()
        data, pieces, pause, begun = bytearray(), 0, YIELD_BYTES, loop.time()
        async with asyncio.timeout_at(begun + min(GRACE_S, BODY_TIMEOUT_S)) as limit:
            async for piece, _ in request.content.iter_chunks():
                pieces += 1
                if len(data) + len(piece) > self._sender.most:
                    raise _too_big(self._sender.most)
                if pieces > PIECES_FREE + len(data) // PIECE_MIN_BYTES:
                    raise InvalidInputError("", "the chunks of the body are too small")
                if len(data) + len(piece) > self._room and not self._sender.is_stranger:
                    await self.make_room(None)
                data += piece
                limit.reschedule(begun + min(BODY_TIMEOUT_S, GRACE_S + len(data) / RATE_BYTES_S))
                if len(data) >= pause or pieces % YIELD_PIECES == 0:
                    pause = len(data) + YIELD_BYTES
                    await asyncio.sleep(0)
        return data


async def _send_continue(request: web.Request) -> None:
    """Tell a waiting client to send its body (RFC 9110 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # the answer itself has not begun
        request.writer.output_size = 0


def _too_big(most: int) -> InvalidInputError:
    return InvalidInputError("", f"the body is larger than {most} bytes", reason=Reason.TOO_BIG)


async def decode_json(data: bytes | bytearray, kind: type[T]) -> T:
    """Decode a received JSON body.

    Raises InvalidInputError for too many values or a duplicate name, and msgspec's errors.
    """
    if len(data) <= INLINE_MAX_BYTES:
        return _decode(data, kind)
    return await asyncio.to_thread(_decode, data, kind)


def _decode(data: bytes | bytearray, kind: type[T]) -> T:
    if sum(data.count(mark) for mark in _MARKS) > VALUES_MAX and has_many_values(data):
        raise InvalidInputError("", f"the body has more than {VALUES_MAX} values", reason=Reason.TOO_BIG)
    decoded = msgspec.json.decode(data, type=kind)
    _NAMES.decode(data.decode())
    return decoded


def _check_names(members: list[tuple[str, object]]) -> None:
    """Refuse an object with a duplicate name: parsers differ in which value they take (RFC 8259 4).

    Raises InvalidInputError.
    """
    seen = set[str]()
    for name, _ in members:
        if name in seen:
            shown = name[:NAME_SHOWN]
            raise InvalidInputError(shown, f"'{shown}' is given more than once in one object; give it once")
        seen.add(name)


_NAMES: Final = json.JSONDecoder(object_pairs_hook=_check_names, parse_int=str, parse_float=str, strict=False)
"""Checks the names in decoded JSON, which msgspec does not compare, and keeps nothing."""


def has_many_values(data: bytes | bytearray) -> bool:
    """Whether JSON has more than VALUES_MAX values.

    Strings are skipped: PEM with comments is full of commas.
    """
    values, at = 0, 0
    while values <= VALUES_MAX:
        start = data.find(b'"', at)
        end = len(data) if start < 0 else start
        values += sum(data.count(mark, at, end) for mark in _MARKS)
        text = None if start < 0 else _STRING.match(data, start)
        if text is None:
            # the end, or an unterminated string, at which the parser stops
            break
        at = text.end()
    return values > VALUES_MAX
