"""A listener on loopback with a real enrolment behind it, and what a test needs to talk to it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from common.errors import EnrolmentError, Reason
from common.ids import NodeName
from common.runtime.ssh import common_options, fingerprint, generate_key, load_key, public_line
from common.runtime.transport import Transport
from common.wire.enrolment import JoinToken, encode_token, hash_secret, new_pinning
from manager.channel.clustering import ManagerReply
from manager.channel.enrolment import Enrolment
from manager.channel.keys import KeyRegistry, PinnedKey
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.sources import KnownSources
from nodeagent.channel import identity
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from tests.patience import PATIENCE_S


class Echo:
    """A peer on the manager's side that answers what it hears."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.received = b""
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


class RecordingPeer:
    """A peer on the node's side that collects what it hears."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.news = asyncio.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()

    async def until(self, wanted: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while bytes(self.received) != wanted:
                await self.news.wait()
                self.news.clear()


class Tokens:
    """Join tokens and pinned keys in memory, with the store's rules. Implements `manager.channel.enrolment.NodeKeys`."""

    def __init__(self, directory: KeyRegistry) -> None:
        self.tokens: dict[str, list[str | float | None]] = {}
        self.pinned: dict[NodeName, str] = {}
        self.pinnings: dict[tuple[NodeName, str], str] = {}
        self.joined: list[NodeName] = []
        self.directory = directory

    def add(self, secret: str, expires_s: float) -> None:
        self.tokens[hash_secret(secret)] = [expires_s, None]

    async def key_of(self, name: NodeName) -> str:
        return self.pinned.get(name, "")

    async def pinning_of(self, name: NodeName, public_key: str, *, make: bool = False) -> str:
        if make:
            self.pinnings.setdefault((name, public_key), new_pinning())
        return self.pinnings.get((name, public_key), "")

    async def rotate(
        self, name: NodeName, *, public_key: str, former_key: str, address: str, binds: bool = False
    ) -> None:
        if self.pinned[name] != former_key:
            raise EnrolmentError("replaced meanwhile", reason=Reason.FORBIDDEN)
        self.pinned[name] = public_key
        if binds:
            await self.pinning_of(name, public_key, make=True)
        self.directory.pin(name, public_key)

    def note_refusal(self, name: NodeName, *, by_proof: bool, address: str) -> None:
        pass

    async def join(
        self, name: NodeName, *, secret_hash: str, public_key: str, address: str, binds: bool = False
    ) -> None:
        token = self.tokens.get(secret_hash)
        if token is None:
            raise EnrolmentError("unknown", reason="token_unknown")
        if token[1] not in {None, public_key}:
            raise EnrolmentError("used", reason="token_used")
        if token[1] is None and token[0] <= time.time():
            raise EnrolmentError("expired", reason="token_expired")
        token[1] = self.pinned[name] = public_key
        if binds:
            await self.pinning_of(name, public_key, make=True)
        self.directory.pin(name, public_key)
        self.joined.append(name)


class Channel:
    """What `channel()` gives."""

    def __init__(
        self,
        listener: Listener,
        directory: KeyRegistry,
        host_key: asyncssh.SSHKey,
        tokens: Tokens,
        enrolment: Enrolment,
    ) -> None:
        self.listener = listener
        self.enrolment = enrolment
        self.directory = directory
        self.host_line = public_line(host_key)
        self.tokens = tokens
        self.peers: list[Echo] = []
        self.joined = tokens.joined

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.port}"

    def identity(self, name: str, *, pinned: bool = True, host_line: str | None = None) -> Identity:
        key = load_key(generate_key())
        if pinned:
            self.directory.pin(NodeName(name), public_line(key))
        return Identity(
            node=NodeName(name), addresses=(self.address,), host_keys=(host_line or self.host_line,), key=key
        )

    def token(self, name: str, secret: str, *, lifetime_s: float = 60, host_line: str | None = None) -> str:
        expires_s = time.time() + lifetime_s
        self.tokens.add(secret, expires_s)
        return encode_token(
            JoinToken(
                node=name,
                addresses=[self.address],
                fingerprint=fingerprint(host_line or self.host_line),
                secret=secret,
                expires_s=expires_s,
            )
        )


async def no_manager_joins(*_args: object) -> ManagerReply:
    raise EnrolmentError("no manager joins here", reason="forbidden")


@asynccontextmanager
async def channel(
    limits: Limits | None = None, *, sources: KnownSources | None = None
) -> AsyncIterator[Channel]:
    host_key, directory = load_key(generate_key()), KeyRegistry({})
    tokens = Tokens(directory)
    made: list[Channel] = []

    def accept(_key: PinnedKey, transport: Transport) -> Echo:
        peer = Echo(transport)
        made[0].peers.append(peer)
        return peer

    enrolment = Enrolment(tokens, host_keys=[public_line(host_key)], epoch=1)
    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[host_key],
        keys=directory,
        admit=lambda _key, _address: True,
        accept=accept,
        enrol=enrolment.enrol,
        enrol_manager=no_manager_joins,
        sources=sources or KnownSources(),
        limits=limits or Limits(),
    )
    made.append(Channel(listener, directory, host_key, tokens, enrolment))
    await listener.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(listener.run())
        try:
            yield made[0]
        finally:
            await listener.close()
            running.cancel()
            for _ in range(100):
                if not listener.connections:
                    break
                await asyncio.sleep(0.02)


def key_path(directory: Path) -> Path:
    return directory / "identity" / "node_key"


async def a_good_node_is_served(there: Channel, name: str = "good") -> None:
    peer = RecordingPeer()
    transport = await connect(there.identity(name), peer=peer)
    transport.write(b"hello")
    await peer.until(b"hello")
    transport.close()


async def raw(there: Channel, who: identity.Identity, **options) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        "127.0.0.1",
        there.listener.port,
        **{
            **common_options(),
            "username": who.node,
            "client_keys": [who.key],
            "agent_path": None,
            "known_hosts": None,
            **options,
        },
    )
