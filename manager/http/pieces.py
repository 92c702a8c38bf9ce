"""Long answers in pieces: each is made when the one before it was taken, so that no answer is ever whole in memory.

Decides how a JSON list is cut, and when a reader that does not read is let go. Invariant: an answer that cannot be finished is cut off,
and never looks whole.
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
"""Objects in a piece: certificates with their texts take some 20 KB each."""

WRITE_BYTES: Final = 64 * 1024
WRITE_S: Final = 30.0
"""How long a reader may leave a piece unread."""

_NO_HEADERS: Final[Mapping[str, str]] = {}
_END: Final = b"]}"


async def stream_list(empty: object, parts: AsyncIterator[Sequence[object]]) -> AsyncIterator[bytes]:
    """Return JSON in pieces: `empty` is the object with an empty list as its last member, which gets what is in `parts`."""
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
    """Return the same pieces as long as `check` lets them go, which raises AccessError where the right to read them has gone."""
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
    """Send JSON in pieces; each is made in a `turn` of its own, which nobody holds by reading slowly.

    Raises CertcastError while nothing was sent; later the connection is cut, and the log says why.
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
        # the right to the rest has gone, or others ask for so much that there was no turn for it
        _cut(request)
    except CertcastError as error:
        log_failure(error, method=request.method, path=request.path)
        _cut(request)
    except (TimeoutError, ConnectionError):
        # the reader went, or might as well have
        _cut(request)
    return response


async def _next(
    pieces: AsyncIterator[bytes], turn: Callable[[], AbstractAsyncContextManager[None]]
) -> bytes | None:
    async with turn():
        return await anext(pieces, None)


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        # what is written is encrypted at once: others get their turn in between
        for start in range(0, len(piece), WRITE_BYTES):
            await response.write(piece[start : start + WRITE_BYTES])
            await asyncio.sleep(0)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
