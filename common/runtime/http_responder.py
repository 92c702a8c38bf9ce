"""HTTP responder for simple ports: GET and HEAD, one request per connection.

Leaves the answers to its caller. Parses requests itself: a web framework took a third of the agent's memory and
start-up time (docs/decisions/0013-agents-footprint.md).
Invariant: a client that asks slowly, at length or too often costs a bounded amount, is disconnected, and does not
delay the answers of others.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from common.runtime.acceptor import accept_from, listen
from common.runtime.connection_limit import AdmittedConnection, ConnectionLimit
from common.runtime.supervise import Supervisor
from common.source import source_of

REQUEST_MAX_BYTES: Final = 8 * 1024
REQUEST_S: Final = 5.0
"""The time for a request and its response."""

CONNECTIONS_MAX: Final = 32
CONNECTIONS_PER_SOURCE: Final = 16
"""The limit per address. At the total limit, the address with the most connections loses its oldest waiting one."""

VERSIONS: Final = frozenset({"HTTP/1.0", "HTTP/1.1"})
PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response. `kind` is the content type."""

    status: int
    kind: str
    body: bytes


Find = Callable[[str], HttpResponse | None]
"""Returns the response for a path without its query; None means 404."""

Refuse = Callable[[int], HttpResponse]
"""Returns the response for a failure status."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Connection(AdmittedConnection):
    task: asyncio.Task[object] | None = None
    is_over: bool = False


class _Endpoint:
    def __init__(self, find: Find, refuse: Refuse) -> None:
        self._find, self._refuse = find, refuse
        self._connections: ConnectionLimit[_Connection] = ConnectionLimit(
            total=CONNECTIONS_MAX, per_source=CONNECTIONS_PER_SOURCE
        )

    async def run(self, listening: socket.socket) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        async with Supervisor() as supervisor:

            def admit(accepted: socket.socket, address: str) -> bool:
                connection = self._enter(source_of(address), loop.time())
                if connection is None:
                    accepted.close()
                    return False
                supervisor.run("question", self._serve(connection, accepted))
                return True

            await accept_from(listening, admit, per_turn=1)

    def _enter(self, source: str, now_s: float) -> _Connection | None:
        if not self._connections.has_room_for(source):
            goes = self._connections.first_to_go(source, now_s)
            if goes is None:
                return None
            goes.is_over = True
            self._connections.free(goes)
            if goes.task is not None:
                goes.task.cancel()
        connection = _Connection(source=source, yields_at_s=now_s)
        self._connections.take(connection)
        return connection

    async def _serve(self, connection: _Connection, accepted: socket.socket) -> None:
        """Answer one request, and close."""
        if connection.is_over:
            accepted.close()
            return
        connection.task = asyncio.current_task()
        try:
            reader, writer = await asyncio.open_connection(sock=accepted, limit=REQUEST_MAX_BYTES)
        except OSError:
            accepted.close()
            self._connections.free(connection)
            return
        try:
            async with asyncio.timeout(REQUEST_S):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            # the client did not ask in time, does not read the answer, or has gone
            writer.transport.abort()
        finally:
            self._connections.free(connection)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(self._refuse(431))
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[2] not in VERSIONS:
            return _response(self._refuse(400))
        if words[0] not in {"GET", "HEAD"}:
            return _response(self._refuse(405))
        found = self._find(words[1].partition("?")[0])
        return _response(found if found is not None else self._refuse(404), with_body=words[0] == "GET")


@asynccontextmanager
async def responder(
    name: str, find: Find, refuse: Refuse, *, host: str, port: int
) -> AsyncIterator[tuple[str, int]]:
    """Answer while the context lasts; yields the bound host and port. Raises OSError if it cannot listen.

    `name` is the task's name in the log.
    """
    endpoint = _Endpoint(find, refuse)
    listening = listen(host, port)
    try:
        async with Supervisor() as supervisor:
            supervisor.keep(name, lambda: endpoint.run(listening))
            bound = listening.getsockname()
            yield bound[0], bound[1]
    finally:
        listening.close()


def _response(answer: HttpResponse, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {PHRASES[answer.status]}\r\nContent-Type: {answer.kind}\r\n"
        f"Content-Length: {len(answer.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if with_body else b"")
