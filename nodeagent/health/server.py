"""The local HTTP endpoint: /health/live, /health/ready, /health/startup, /metrics.

Decides nothing; says what `checks` finds, with 503 as soon as one check is not ok. Four questions without a body, each answered
once and hung up on, are little enough to be read here: a web framework was a third of the agent's memory and start
(docs/decisions/0013-agents-footprint.md).
Invariant: whoever asks slowly, at length or too often costs a bounded amount, and is hung up on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec.json import encode

from common.errors import CertcastError, Reason
from nodeagent.health.checks import Check, Health, is_ready
from nodeagent.health.metrics import CONTENT_TYPE, render

REQUEST_MAX_BYTES: Final = 8 * 1024
REQUEST_S: Final = 5.0
"""For the whole of question and answer."""

CONNECTIONS_MAX: Final = 32

JSON: Final = "application/json"
PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class _Endpoint:
    def __init__(self, pages: Mapping[str, Callable[[], Answer]]) -> None:
        self._pages = pages
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question."""
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            pass  # whoever does not ask in time, or has gone, gets no answer
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(_problem(431))
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response(_problem(400))
        if words[0] not in {"GET", "HEAD"}:
            return _response(_problem(405))
        page = self._pages.get(words[1].partition("?")[0])
        return _response(page() if page is not None else _problem(404), with_body=words[0] == "GET")


@asynccontextmanager
async def serve_health(health: Health, *, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while the context lasts; yields the bound host and port. Raises CertcastError UNREACHABLE if it cannot."""
    endpoint = _Endpoint(
        {
            "/health/live": lambda: _checked([Check(name="loop", ok=True, message="it answers")]),
            "/health/ready": lambda: _checked(health.ready()),
            "/health/startup": lambda: _checked(health.startup()),
            "/metrics": lambda: (200, CONTENT_TYPE, render(health).encode()),
        }
    )
    try:
        server = await asyncio.start_server(endpoint.serve, host, port, limit=REQUEST_MAX_BYTES)
    except OSError as error:
        raise CertcastError(
            f"the health endpoint cannot listen on {host}:{port}: {error.strerror}; choose another with --health",
            reason=Reason.UNREACHABLE,
        ) from error
    async with server:
        bound = server.sockets[0].getsockname()
        yield bound[0], bound[1]


def _checked(checks: Sequence[Check]) -> Answer:
    ok = is_ready(checks)
    body = encode({"status": "ok" if ok else "failed", "checks": list(checks)})
    return (200 if ok else 503), JSON, body


def _problem(status: int) -> Answer:
    return status, JSON, encode({"status": "failed", "checks": []})


def _response(answer: Answer, *, with_body: bool = True) -> bytes:
    status, kind, body = answer
    head = (
        f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
