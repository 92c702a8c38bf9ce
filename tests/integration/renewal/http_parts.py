"""Web servers of nodes on addresses of the loopback network, all on one port, that answer as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.patience import PATIENCE_S

Reply = Callable[[str, str], bytes]
"""Answers a path that a host is asked for with all bytes that are sent."""


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Node:
    """One node's server. It keeps what it was asked, and the whole heads of the requests."""

    address: str
    reply: Reply
    asked: list[tuple[str, str]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                host = next(line[6:] for line in lines if line.lower().startswith("host: "))
                path = lines[0].split(" ")[1]
                self.heads.append(head)
                self.asked.append((host, path))
                writer.write(self.reply(host, path))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def servers(*nodes: Node) -> AsyncIterator[int]:
    """Run these, and lend their port."""
    port, running = 0, []
    try:
        for node in nodes:
            server = await asyncio.start_server(node.serve, node.address, port)
            port = server.sockets[0].getsockname()[1]
            running.append(server)
        yield port
    finally:
        for server in running:
            server.close()
            await server.wait_closed()
