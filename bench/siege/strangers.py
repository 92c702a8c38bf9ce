"""Attacks by those who have no credential at all: HTTP, TLS and SSH from many addresses of the loopback network."""

import asyncio
import base64
import contextlib
import itertools
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncssh

from bench.siege.target import Target
from common.errors import CertcastError
from common.runtime.ssh import generate_key, load_key
from common.wire.enrolment import EnrolRequest, new_secret
from demo.run import trusting
from nodeagent.channel.join import ask
from tests.newcomers import newcomer

Attack = Callable[[Target, Counter[str]], Coroutine[Any, Any, None]]

CHUNK: Final = b"x" * 16_384
PREAMBLE_BYTES_PER_S: Final = 1_600_000
"""What one connection of the observed attack sent."""

AGAIN_S: Final = 0.2
"""How soon a refused attacker comes back."""

_hosts = itertools.count(1)


def address() -> str:
    """Another address of the loopback network, in a network of its own."""
    number = next(_hosts)
    return f"127.{66 + number // 60_000}.{number // 250 % 250}.{number % 250 + 1}"


@asynccontextmanager
async def tls(
    target: Target, host: str, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection to the manager from this address."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", target.https, ssl=context, local_addr=(host, 0), ssl_handshake_timeout=60
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def forever(count: int, once: Callable[[str], Awaitable[Any]], counts: Counter[str], what: str) -> None:
    """Let `count` attackers do it again and again, each from an address of its own, whatever becomes of it."""

    async def one(host: str) -> None:
        while True:
            counts[what] += 1
            try:
                await once(host)
            except (OSError, asyncssh.Error, CertcastError, EOFError, TimeoutError):
                counts[f"{what}, cut off or refused"] += 1
            await asyncio.sleep(AGAIN_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one(address()))


def _posts(path: str, kind: str, first: bytes, bytes_per_s: int, what: str, count: int) -> Attack:
    """A body without end, at a pace."""

    async def attack(target: Target, counts: Counter[str]) -> None:
        context = trusting()

        async def once(host: str) -> None:
            async with tls(target, host, context) as (_, writer):
                head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.https}\r\nContent-Type: {kind}\r\n"
                writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + first)
                while not writer.is_closing():
                    writer.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
                    await writer.drain()
                    counts[f"{what}, KiB"] += len(CHUNK) // 1024
                    await asyncio.sleep(len(CHUNK) / bytes_per_s)

        await forever(count, once, counts, what)

    return attack


def _waits(count: int, spoken: bytes, every_s: float, what: str) -> Attack:
    """TLS connections that say little or nothing."""

    async def attack(target: Target, counts: Counter[str]) -> None:
        context = trusting()

        async def once(host: str) -> None:
            async with tls(target, host, context) as (reader, writer):
                writer.write(spoken)
                while not reader.at_eof():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(every_s):
                            if not await reader.read(4096):
                                return
                    if spoken:
                        writer.write(b"x")

        await forever(count, once, counts, what)

    return attack


async def silent_ssh(target: Target, counts: Counter[str]) -> None:
    """Connections to the nodes' channel that never say who they are, 64 from each of 8 addresses."""
    hosts = [address() for _ in range(8)]

    async def once(host: str) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", target.ssh, local_addr=(hosts[hash(host) % 8], 0)
        )
        try:
            while await reader.read(4096):
                pass
        finally:
            writer.transport.abort()

    await forever(512, once, counts, "silent SSH connections")


@asynccontextmanager
async def joined(target: Target, host: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A login as one who wants to join, with a key that nobody knows."""
    connection = await newcomer(target.ssh, host)
    try:
        yield connection
    finally:
        connection.abort()


async def parked_joins(target: Target, counts: Counter[str]) -> None:
    """Logins that ask for nothing and stay."""

    async def once(host: str) -> None:
        async with joined(target, host) as connection:
            await connection.wait_closed()

    await forever(1500, once, counts, "parked logins to join")


async def noisy_joins(target: Target, counts: Counter[str]) -> None:
    """Logins that send what SSH allows anybody to send, and ask for channels that nobody may have."""

    async def once(host: str) -> None:
        async with joined(target, host) as connection:
            while not connection.is_closed():
                for _ in range(50):
                    connection.send_debug("x" * 200)
                with contextlib.suppress(asyncssh.ChannelOpenError):
                    await connection.open_connection("127.0.0.1", 1)
                counts["noisy joins, messages"] += 51
                await asyncio.sleep(0.05)

    await forever(8, once, counts, "noisy logins to join")


async def wrong_joins(target: Target, counts: Counter[str]) -> None:
    """Guesses at the join tokens of nodes that exist, and of such that do not."""

    async def once(_: str) -> None:
        node = random.choice([*target.nodes, "nobody"])
        await ask(
            [f"127.0.0.1:{target.ssh}"],
            key=load_key(generate_key()),
            trusts=lambda _line: True,
            request=EnrolRequest(node=node, secret=new_secret(), agent_version="0"),
        )

    await forever(4, once, counts, "guesses at join tokens")


def _asks(path: str, headers: str, count: int, what: str) -> Attack:
    """Requests one after the other on connections that stay, all of them from one address."""

    async def attack(target: Target, counts: Counter[str]) -> None:
        context, host = trusting(), address()

        async def once(_: str) -> None:
            async with tls(target, host, context) as (reader, writer):
                while True:
                    writer.write(
                        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.https}\r\n{headers}\r\n".encode()
                    )
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                    counts[f"{what}, answered {head.split(maxsplit=2)[1]}"] += 1
                    length = head.partition("content-length:")[2].partition("\r\n")[0]
                    await reader.readexactly(int(length or 0))

        await forever(count, once, counts, what)

    return attack


def _guesses(count: int, what: str, headers: Callable[[Target], str]) -> Attack:
    """Wrong credentials, from the address that honest clients have, too: they may sit behind one proxy."""

    async def attack(target: Target, counts: Counter[str]) -> None:
        context = trusting()

        async def once(_: str) -> None:
            async with tls(target, "127.0.0.1", context) as (reader, writer):
                head = f"GET /api/certcast/v1/fleet HTTP/1.1\r\nHost: 127.0.0.1:{target.https}\r\n"
                writer.write(f"{head}{headers(target)}Connection: close\r\n\r\n".encode())
                status = (await reader.readline()).split()
                counts[f"{what}, answered {status[1].decode() if len(status) > 1 else 'nothing'}"] += 1

        await forever(count, once, counts, what)

    return attack


def _basic(name: str, password: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}\r\n"


STRANGERS: Final[dict[str, Attack]] = {
    "endless forms": _posts(
        "/sign-in",
        "multipart/form-data; boundary=b",
        b"",
        PREAMBLE_BYTES_PER_S,
        "endless forms",
        6,
    ),
    "endless JSON": _posts(
        "/api/certcast/v1/certificates", "application/json", b"", 5_000_000, "endless JSON bodies", 4
    ),
    "endless management JSON": _posts(
        "/api/admin/configuration/v1/tls_certificate/",
        "application/json",
        b"",
        1_600_000,
        "endless bodies",
        2,
    ),
    "pages": _asks("/sign-in", "", 64, "pages on connections that stay"),
    "cookies": _asks(
        "/sign-in",
        f"Cookie: {'; '.join(f'c{number:04}=x' for number in range(1200))}\r\n",
        36,
        "pages with 1,200 cookies",
    ),
    "idle TLS": _waits(1000, b"", 60.0, "idle TLS connections"),
    "slow headers": _waits(100, b"GET / HTTP/1.1\r\nX-Slow: ", 2.0, "slow headers"),
    "silent SSH": silent_ssh,
    "parked joins": parked_joins,
    "noisy joins": noisy_joins,
    "wrong joins": wrong_joins,
    "wrong tokens": _guesses(4, "guesses at tokens", lambda _: f"Authorization: Bearer {new_secret()}\r\n"),
    "wrong passwords": _guesses(
        2, "guesses at the password", lambda target: _basic(target.administrator[0], new_secret())
    ),
    "long passwords": _guesses(
        2, "guesses of 5,000 characters", lambda target: _basic(target.administrator[0], "x" * 5000)
    ),
}
