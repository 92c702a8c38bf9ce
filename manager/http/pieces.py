"""Long answers in pieces: each is made after the previous one was taken, so none is ever whole in memory.

Decides how a JSON list is divided, and when a stalled reader is disconnected. Invariant: an answer that
cannot be finished is cut off and never looks complete.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
import structlog
from aiohttp import web

from common.errors import AccessError, CertcastError, OverloadedError
from manager.http.exception_frames import drop_frames
from manager.http.failures import log_failure

log = structlog.get_logger(__name__)

AT_ONCE: Final = 200
"""How many objects a piece holds: certificates with their texts take some 20 KB each."""

WRITE_BYTES: Final = 64 * 1024
WRITE_S: Final = 30.0
"""How long a reader may leave a piece unread."""

_NO_HEADERS: Final[Mapping[str, str]] = {}
_END: Final = b"]}"


async def stream_list(empty: object, parts: AsyncIterator[Sequence[object]]) -> AsyncIterator[bytes]:
    """Return JSON in pieces.

    `empty` is the object with an empty list as its last member; `parts` fill that list.
    """
    begun = msgspec.json.encode(empty).removesuffix(_END)
    between = b""
    async for part in parts:
        if part:
            objects = (await asyncio.to_thread(msgspec.json.encode, part))[1:-1]
            yield begun + between + objects
            begun, between = b"", b","
    yield begun + _END


async def guard_stream(
    pieces: AsyncIterator[bytes], check: Callable[[], Awaitable[None]]
) -> AsyncIterator[bytes]:
    """Return the same pieces, calling `check` before each.

    It raises AccessError once the right to read was revoked.
    """
    async for piece in pieces:
        await check()
        yield piece


async def send(
    request: web.Request,
    pieces: AsyncIterator[bytes],
    *,
    turn: Callable[[], AbstractAsyncContextManager[None]],
    status: int = 200,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> web.StreamResponse:
    """Send JSON in pieces. Each is made in a `turn` by itself, so a slow reader holds none.

    Raises CertcastError before anything was sent. Later failures cut the connection and are logged.
    """
    response = web.StreamResponse(status=status, headers=dict(headers))
    response.content_type = "application/json"
    if request.method == "HEAD":
        return response
    piece = await _next(pieces, turn)
    try:
        with drop_frames():
            await response.prepare(request)
            while piece is not None:
                await _write(response, piece)
                piece = await _next(pieces, turn)
            await response.write_eof()
    except (AccessError, OverloadedError):
        # the right to the rest was revoked, or the manager was too busy for another turn
        _cut(request)
    except CertcastError as error:
        log_failure(error, method=request.method, path=request.path)
        _cut(request)
    except (TimeoutError, ConnectionError):
        # the reader disconnected or stalled
        _cut(request)
    return response


async def _next(
    pieces: AsyncIterator[bytes], turn: Callable[[], AbstractAsyncContextManager[None]]
) -> bytes | None:
    async with turn():
        return await anext(pieces, None)


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        # written data is encrypted at once: let others run in between
        for start in range(0, len(piece), WRITE_BYTES):
            await response.write(piece[start : start + WRITE_BYTES])
            await asyncio.sleep(0)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
