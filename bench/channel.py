"""What a connection costs the manager: CPU per login, memory per idle connection, CPU per push; ours against asyncssh's defaults.

Each server runs in a process of its own and reports on itself; the same client connects to both.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from bench.fleet import raise_file_limit
from common.ids import NodeName
from common.runtime.ssh import SUBSYSTEM, common_options, generate_key, load_key, public_line
from common.runtime.transport import Transport
from common.wire.enrolment import EnrolReply, EnrolRequest
from manager.channel.keys import KeyRegistry, PinnedKey
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.sources import KnownSources

PUSH_BYTES = 10_000
PUSHES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one server needed: CPU seconds and bytes, per connection or push."""

    login_cpu_s: float
    memory_bytes: float
    push_cpu_s: float


class Quiet:
    """A peer on the server that answers each byte with a push of 10 KB."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"x" * PUSH_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing to do."""


class _DefaultSession(asyncssh.SSHServerSession[bytes]):
    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._peer = Quiet(chan)

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._peer.data_received(data)


class _DefaultServer(asyncssh.SSHServer):
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def session_requested(self) -> Any:
        return self._connection.create_server_channel(encoding=None), _DefaultSession()


async def serve(kind: str, directory: Path) -> None:
    """Serve, and answer each line on standard input with what the process has used."""
    raise_file_limit()
    key = load_key((directory / "key").read_bytes())
    if kind == "ours":
        port = await _serve_ours(key)
    else:
        # the ordinary way: keys given by path, algorithms as they come
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=_DefaultServer,
            server_host_keys=[str(directory / "key")],
            authorized_client_keys=str(directory / "authorized"),
            backlog=4096,
        )
        port = acceptor.get_port()
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        statm = (await asyncio.to_thread(Path("/proc/self/statm").read_text)).split()
        print(
            json.dumps([usage.ru_utime + usage.ru_stime, int(statm[1]) * os.sysconf("SC_PAGE_SIZE")]),
            flush=True,
        )


async def _serve_ours(key: asyncssh.SSHKey) -> int:
    async def enrol(_request: EnrolRequest, _address: str, _key: str) -> EnrolReply:
        return EnrolReply(ok=False)

    def accept(_key: PinnedKey, transport: Transport) -> Quiet:
        return Quiet(transport)

    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[key],
        keys=KeyRegistry({public_line(key): NodeName("bench")}),
        admit=lambda _key, _address: True,
        accept=accept,
        enrol=enrol,
        enrol_manager=enrol,
        sources=KnownSources(["127.0.0.1"]),
        limits=Limits(),
    )
    await listener.start()
    _RUNNING.append(asyncio.get_running_loop().create_task(listener.run()))
    return listener.port


_RUNNING: list[asyncio.Task[None]] = []


async def measure(kind: str, count: int) -> Figures:
    """Connect `count` clients to one kind of server, push to each, and return what it needed."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as text:
        directory = Path(text)
        key = load_key(generate_key())
        (directory / "key").write_bytes(key.export_private_key())
        (directory / "authorized").write_bytes(key.export_public_key())
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.channel", kind, text),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            return await _measure(server, kind, key, count)
        finally:
            server.kill()
            await server.wait()


async def _measure(
    server: asyncio.subprocess.Process, kind: str, key: asyncssh.SSHKey, count: int
) -> Figures:
    port = int(await server.stdout.readline())
    options: dict[str, Any] = common_options() if kind == "ours" else {"config": None}
    warm = await _connect(port, key, options, 5)
    before = await _usage(server)
    clients = await _connect(port, key, options, count)
    connected = await _usage(server)
    for _ in range(PUSHES):
        for process in clients:
            process.stdin.write(b".")
        for process in clients:
            await process.stdout.readexactly(PUSH_BYTES)
    pushed = await _usage(server)
    for process in [*warm, *clients]:
        process.channel.get_connection().abort()
    return Figures(
        login_cpu_s=(connected[0] - before[0]) / count,
        memory_bytes=(connected[1] - before[1]) / count,
        push_cpu_s=(pushed[0] - connected[0]) / count / PUSHES,
    )


async def _connect(
    port: int, key: asyncssh.SSHKey, options: dict[str, Any], count: int
) -> list[asyncssh.SSHClientProcess[bytes]]:
    places = asyncio.Semaphore(50)

    async def one() -> asyncssh.SSHClientProcess[bytes]:
        async with places:
            connection = await asyncssh.connect(
                "127.0.0.1",
                port,
                username="bench",
                client_keys=[key],
                agent_path=None,
                known_hosts=None,
                **options,
            )
            return await connection.create_process(subsystem=SUBSYSTEM, encoding=None)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
    return [task.result() for task in tasks]


async def _usage(server: asyncio.subprocess.Process) -> tuple[float, float]:
    await asyncio.sleep(0.3)  # let it finish what it has begun
    server.stdin.write(b"\n")
    cpu_s, memory_bytes = json.loads(await server.stdout.readline())
    return cpu_s, memory_bytes


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
