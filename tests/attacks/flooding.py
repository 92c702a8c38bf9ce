"""A client that sends a request's body without end and counts how much of it is taken; it runs on a thread of its own."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

from demo.run import trusting
from manager.http.bodies import Bodies
from tests.patience import PATIENCE_S

SEND_BUFFER_BYTES = 64 * 1024

TAKEN_MAX = 8 * 1024 * 1024
"""What the kernel's buffers of a connection and ours take at most, though nobody reads."""


@dataclass(frozen=True)
class LimitExceeded:
    """What came of it: the bytes that were taken, the answer, and whether the manager closed the connection."""

    taken: int
    answer: bytes
    closed: bool

    @property
    def status(self) -> int:
        """The answer's status; 0 if there was none."""
        return int(self.answer[9:12]) if self.answer.startswith(b"HTTP/1.1 ") else 0


def held_bytes(bodies: Bodies) -> int:
    """Return how much is reserved for bodies now."""
    return bodies.strangers.taken + sum(queue.taken for _, queue in bodies.pools)


async def flood(port: int, begin: bytes, filler: bytes, *, most: int, wait: bool = True) -> LimitExceeded:
    """Send `begin`, then `filler` until `most` bytes of it were taken or the connection ended; `wait` for its end then."""
    return await asyncio.to_thread(asyncio.run, _Client(port).flood(begin, filler, most=most, wait=wait))


class _Client:
    def __init__(self, port: int) -> None:
        self._port = port
        self._answer = bytearray()
        self._taken = 0
        self._closed = False

    async def flood(self, begin: bytes, filler: bytes, *, most: int, wait: bool) -> LimitExceeded:
        raw = socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw, ssl=trusting(), server_hostname="")
        writer.transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        try:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(reader, writer))
                await self._send(writer, begin, filler, most)
                if not wait or self._taken >= TAKEN_MAX:
                    reading.cancel()
        finally:
            writer.transport.abort()
        return LimitExceeded(taken=self._taken, answer=bytes(self._answer), closed=self._closed)

    async def _send(self, writer: asyncio.StreamWriter, begin: bytes, filler: bytes, most: int) -> None:
        try:
            writer.write(begin)
            await writer.drain()
            while filler and self._taken < most and not self._closed:
                writer.write(filler)
                await writer.drain()
                self._taken += len(filler)
                # as long as everything is taken at once, nothing above lets the reader see the end
                await asyncio.sleep(0)
        except (ConnectionError, ssl.SSLError):
            # the end, which whoever reads may not have come to yet
            self._closed = True

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                self._answer += data
        self._closed = True
        # whoever writes is not kept waiting
        writer.transport.abort()
