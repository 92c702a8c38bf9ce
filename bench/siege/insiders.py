"""Attacks by those who have little: a read-only user, and a node that joined."""

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections import Counter
from typing import Final

import aiohttp

from bench.siege.strangers import Attack, address, forever, tls
from bench.siege.target import Target
from common.ids import NodeName
from common.runtime.ssh import load_key
from common.runtime.transport import Transport
from common.wire.messages import PROTOCOL, Hello, Outcome, Report, Tick, encode
from demo.run import trusting
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity

HEAVY: Final = (
    "/api/admin/configuration/v1/tls_certificate/?" + "&".join(["order_by=subject_name"] * 700),
    "/api/admin/configuration/v1/tls_certificate/?limit=0",
    "/api/admin/configuration/v1/ca_certificate/?limit=0",
    "/api/admin/configuration/v1/tls_certificate/?subject_name__regex=" + "(a%2B)%2B" * 12 + "$",
    "/api/certcast/v1/certificates?limit=1000",
    "/api/certcast/v1/audit?limit=1000",
    "/api/certcast/v1/fleet",
    "/trusted-cas",
)
HELD_BYTES: Final = 12 * 1024 * 1024
BUFFER_BYTES: Final = 1_000_000


async def heavy_reader(target: Target, counts: Counter[str]) -> None:
    """Questions that cost much, eight at once."""
    headers = {"Authorization": aiohttp.encode_basic_auth(*target.reader)}
    connector = aiohttp.TCPConnector(ssl=trusting(), limit=8, local_addr=(address(), 0))
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def once(_: str) -> None:
            path = random.choice(HEAVY)
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(target.url + path) as answer:
                    counts[f"heavy questions, answered {answer.status}"] += 1
                    await answer.read()

        await forever(8, once, counts, "heavy questions")


async def held_bodies(target: Target, counts: Counter[str]) -> None:
    """Large uploads of which the last byte never comes."""
    context, authorization = trusting(), aiohttp.encode_basic_auth(*target.reader)

    async def once(host: str) -> None:
        async with tls(target, host, context) as (reader, writer):
            head = f"POST /api/certcast/v1/certificates HTTP/1.1\r\nHost: 127.0.0.1:{target.https}\r\n"
            head += f"Authorization: {authorization}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {HELD_BYTES}\r\n\r\n".encode())
            for _ in range(HELD_BYTES // 65536 - 1):
                writer.write(b"x" * 65536)
                await writer.drain()
            await reader.read()

    await forever(10, once, counts, "held bodies")


class _Traitor:
    """Says hello, then sends outcomes without end. Implements `common.runtime.transport.Peer`."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Hear nothing."""

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    async def flood(self, transport: Transport, name: str, counts: Counter[str]) -> None:
        """Send as fast as it is taken, 5,600 messages a second at most."""
        transport.write(
            encode(
                Hello(
                    protocol=PROTOCOL,
                    node=name,
                    boot_id="siege",
                    agent_version="0",
                    report=Report(),
                    instance=secrets.token_hex(8),
                )
            )
        )
        for number in itertools.count():
            if self.closed.is_set():
                return
            for each in range(28 if transport.buffered_bytes < BUFFER_BYTES else 0):
                counts["a node's flood, messages"] += 1
                transport.write(
                    encode(
                        Outcome(
                            push_id=f"{number}-{each}",
                            epoch=1,
                            generation=1,
                            digest="00" * 32,
                            result="failed",
                            phase="verify",
                            at_s=time.time(),
                            report=Report(),
                        )
                    )
                    if each % 2
                    else encode(Tick(report=Report()))
                )
            await asyncio.sleep(0.005)


async def flooding_node(target: Target, counts: Counter[str]) -> None:
    """A node with its own, valid key."""
    name, key = target.traitor
    identity = Identity(
        node=NodeName(name),
        addresses=(f"127.0.0.1:{target.ssh}",),
        host_keys=(target.host_key,),
        key=load_key(key.encode()),
    )

    async def once(_: str) -> None:
        peer = _Traitor()
        transport = await connect(identity, peer=peer)
        try:
            await peer.flood(transport, name, counts)
        finally:
            transport.close()

    await forever(1, once, counts, "a node that floods")


INSIDERS: Final[dict[str, Attack]] = {
    "heavy reader": heavy_reader,
    "held bodies": held_bodies,
    "flooding node": flooding_node,
}
