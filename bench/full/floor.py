"""Floors of a push: the same bytes to the same number of peers, over a bare asyncssh channel and over plain TCP.

Nothing is planned, kept, checked or installed: a peer answers as soon as it has all bytes. Server and clients are processes of their own, on the
cores that the manager and its nodes have: `python -m bench.full.floor serve|meet KIND ...`. Invariant: a push goes to all clients; one that has
connected may be unknown to the server for a moment yet.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import asyncssh

from bench.fleet import raise_file_limit
from bench.full.estate import MANAGERS_CORE, OTHERS_CORE, PATIENCE_S, pinned
from bench.full.scale import PUSHES, Spread, spread
from common.runtime.ssh import SUBSYSTEM, common_options, generate_key, load_key

Kind = Literal["ssh", "tcp"]
ANSWER_BYTES: Final = 1200
"""About what a node says of a push: that it is accepted, and what came of it."""

AT_ONCE: Final = 50
BACKLOG: Final = 4096


class Peers:
    """The server's side: who is there, and who has answered."""

    def __init__(self) -> None:
        self.writers: list[Callable[[bytes], object]] = []
        self.answered_s: list[float] = []

    def heard(self, total_bytes: int) -> None:
        if total_bytes % ANSWER_BYTES == 0:
            self.answered_s.append(time.monotonic())


class SshPeer(asyncssh.SSHServerSession[bytes]):
    """One session of the bare channel."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._bytes = 0

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._peers.writers.append(chan.write)

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._bytes += len(data)
        self._peers.heard(self._bytes)


class TcpPeer(asyncio.Protocol):
    """One connection without encryption."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._peers.writers.append(transport.write)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        self._peers.heard(self._bytes)


async def serve(kind: Kind, count: int) -> None:
    """Say the port; at each line on standard input push so many bytes to all, once so many are there, and say when each answered."""
    raise_file_limit()
    peers = Peers()
    print(await _listen(kind, peers), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        while len(peers.writers) < count:  # noqa: ASYNC110 - looks on
            await asyncio.sleep(0.005)
        body, peers.answered_s, since_s = b"x" * int(line), [], time.monotonic()
        for write in peers.writers:
            write(body)
        while len(peers.answered_s) < len(peers.writers):  # noqa: ASYNC110 - looks on
            await asyncio.sleep(0.005)
        print(json.dumps([each - since_s for each in peers.answered_s]), flush=True)


async def _listen(kind: Kind, peers: Peers) -> int:
    if kind == "tcp":
        server = await asyncio.get_running_loop().create_server(
            lambda: TcpPeer(peers), "127.0.0.1", 0, backlog=BACKLOG
        )
        return int(server.sockets[0].getsockname()[1])

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn

        def begin_auth(self, username: str) -> bool:
            return False

        def session_requested(self) -> Any:
            return self._connection.create_server_channel(encoding=None), SshPeer(peers)

    key = load_key(generate_key())
    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], backlog=BACKLOG, **common_options()
    )
    return int(acceptor.get_port())


class Client(asyncio.Protocol):
    """The other end of either: answers each push of the size that it is told."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = 0
        self._write: Callable[[bytes], object] | None = None

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write

    def data_received(self, data: bytes, _datatype: object = None) -> None:
        self._bytes += len(data)
        while self._bytes >= self._size and self._write is not None:
            self._bytes -= self._size
            self._write(b"y" * ANSWER_BYTES)


class SshClient(Client, asyncssh.SSHClientSession[bytes]):
    """The same, as a session."""


async def meet(kind: Kind, port: int, count: int, size: int) -> None:
    """Connect so many clients, say so, and answer until the process is ended."""
    raise_file_limit()
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> object:
        async with places:
            if kind == "tcp":
                loop = asyncio.get_running_loop()
                return await loop.create_connection(lambda: Client(size), "127.0.0.1", port)
            connection = await asyncssh.connect(
                *("127.0.0.1", port), username="bench", known_hosts=None, agent_path=None, **common_options()
            )
            return await connection.create_session(
                lambda: SshClient(size), subsystem=SUBSYSTEM, encoding=None
            )

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
    print(len(tasks), flush=True)
    await asyncio.Event().wait()


async def measure(kind: Kind, count: int, size: int) -> Spread:
    """Push `size` bytes to so many clients; return the median of some pushes, by its last."""
    server = await _start(MANAGERS_CORE, "serve", kind, str(count))
    try:
        port = int(await _line(server))
        clients = await _start(OTHERS_CORE, "meet", kind, str(port), str(count), str(size))
        try:
            await _line(clients)
            found = [await _push(server, size) for _ in range(PUSHES)]
            return sorted(found, key=lambda each: each.last_s)[PUSHES // 2]
        finally:
            clients.kill()
            await clients.wait()
    finally:
        server.kill()
        await server.wait()


async def _push(server: Process, size: int) -> Spread:
    if server.stdin is None:
        raise RuntimeError("the server cannot be asked")
    server.stdin.write(f"{size}\n".encode())
    return spread(json.loads(await _line(server)), 0.0)


async def _start(core: int, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.full.floor", *arguments),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**26,
        cwd=Path(__file__).parents[2],
        preexec_fn=pinned(core),
    )


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process says nothing")
    async with asyncio.timeout(PATIENCE_S):
        return await process.stdout.readline()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", ("ssh" | "tcp") as kind, count]:
            asyncio.run(serve(kind, int(count)))  # type: ignore[arg-type] # one of both, as matched
        case ["meet", ("ssh" | "tcp") as kind, port, count, size]:
            asyncio.run(meet(kind, int(port), int(count), int(size)))  # type: ignore[arg-type] # as above
