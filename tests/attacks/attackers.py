"""Strangers, in a process of their own: `python -m tests.attacks.attackers KIND HTTPS-PORT SSH-PORT COUNT [name=value ...]`.

Prints `in place` when the first wave has been through, and goes on until it is killed. Whoever is cut off comes back.
"""

import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncssh

from common.runtime.ssh import JOIN_SUBSYSTEM
from demo.run import trusting
from tests.newcomers import newcomer

FIRST_WAVE_S = 10.0
NICENESS = 10
"""They share the machine with what they attack; elsewhere they would have their own."""


TRUSTING = trusting()


@dataclass(frozen=True, slots=True)
class Aim:
    https: int
    ssh: int
    addresses: int
    """From how many addresses the attackers come together."""
    network: str = "127.9"

    def host(self, number: int) -> str:
        return f"{self.network}.{number % self.addresses // 250}.{number % self.addresses % 250 + 1}"


Hold = Callable[[Aim, str, Callable[[], None]], Awaitable[None]]


async def _stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read whatever comes until the connection is cut."""
    try:
        while await reader.read(4096):
            pass
    finally:
        writer.transport.abort()


async def _tls(aim: Aim, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", aim.https, ssl=TRUSTING, local_addr=(host, 0), ssl_handshake_timeout=60
    )


async def silent(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A TCP connection to the nodes' channel that says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", aim.ssh, local_addr=(host, 0))
    placed()
    await _stay(reader, writer)


async def dawdling(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """One that says its version, and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", aim.ssh, local_addr=(host, 0))
    placed()
    writer.write(b"SSH-2.0-x\r\n")
    await _stay(reader, writer)


async def parked(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A login as `join` that asks for nothing and stays."""
    connection = await newcomer(aim.ssh, host, login_timeout=60)
    placed()
    try:
        await connection.wait_closed()
    finally:
        connection.abort()


async def mute(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A login as `join` that opens its session and does not ask."""
    connection = await newcomer(aim.ssh, host, login_timeout=60)
    try:
        await connection.create_process(subsystem=JOIN_SUBSYSTEM, encoding=None)
        placed()
        await connection.wait_closed()
    finally:
        connection.abort()


async def rekeying(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A login as `join` that exchanges keys again and again."""
    connection = await newcomer(aim.ssh, host, login_timeout=60)
    placed()
    try:
        while not connection.is_closed():
            if connection._kex_complete and not connection._kexinit_sent:
                connection._send_kexinit()
                connection._kexinit_sent = True
            await asyncio.sleep(0.002)
    finally:
        connection.abort()


async def greeting(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A handshake and a login as `join`, let go of at once."""
    connection = await newcomer(aim.ssh, host, login_timeout=60)
    placed()
    connection.abort()


async def opening(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A login as `join` that opens channels, asks for what nobody offers, and sends what is to be ignored."""
    connection = await newcomer(aim.ssh, host, login_timeout=60)
    placed()
    try:
        while not connection.is_closed():
            for _ in range(100):
                connection.send_debug("x")
            tries = (connection.open_connection("127.0.0.1", 1) for _ in range(100))
            await asyncio.gather(*tries, return_exceptions=True)
    finally:
        connection.abort()


async def knocking(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A connection to the nodes' channel, let go of at once, and again."""
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", aim.ssh, local_addr=(host, 0))
        writer.transport.abort()
        placed()
        await asyncio.sleep(0.005)


async def idle_tls(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A TLS connection that asks nothing."""
    reader, writer = await _tls(aim, host)
    placed()
    await _stay(reader, writer)


async def no_hello(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A TCP connection to the HTTPS port that begins no handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", aim.https, local_addr=(host, 0))
    placed()
    await _stay(reader, writer)


async def slow_headers(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """A request whose headers come byte by byte and never end."""
    reader, writer = await _tls(aim, host)
    placed()
    try:
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
        while not reader.at_eof():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    if not await reader.read(4096):
                        return
            writer.write(b"x")
    finally:
        writer.transport.abort()


async def pipelining(aim: Aim, host: str, placed: Callable[[], None]) -> None:
    """Requests one after the other, none of whose answers is read."""
    _, writer = await _tls(aim, host)
    placed()
    try:
        while True:
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: m\r\n\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0.1)
    finally:
        writer.transport.abort()


KINDS: dict[str, Hold] = {
    each.__name__: each
    for each in (
        silent,
        dawdling,
        parked,
        mute,
        rekeying,
        greeting,
        opening,
        knocking,
        idle_tls,
        no_hello,
        slow_headers,
        pipelining,
    )
}


async def main(kinds: list[str], aim: Aim, count: int, again_s: float) -> None:
    os.nice(NICENESS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    placed: set[int] = set()
    tried: set[int] = set()

    async def one(number: int) -> None:
        hold = KINDS[kinds[number % len(kinds)]]
        while True:
            try:
                await hold(aim, aim.host(number), lambda: placed.add(number))
            except (OSError, asyncssh.Error, EOFError, TimeoutError):
                tried.add(number)
            await asyncio.sleep(again_s)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
        deadline = time.monotonic() + FIRST_WAVE_S
        while True:
            await asyncio.sleep(0.05)
            if len(placed | tried) == count or time.monotonic() > deadline:
                break
        print(f"in place {len(placed)}", flush=True)


if __name__ == "__main__":
    named = dict(each.split("=") for each in sys.argv[5:])
    asyncio.run(
        main(
            sys.argv[1].split("+"),
            Aim(
                int(sys.argv[2]),
                int(sys.argv[3]),
                int(named.get("addresses", "8")),
                named.get("network", "127.9"),
            ),
            int(sys.argv[4]),
            float(named.get("again_s", "0.2")),
        )
    )
