"""A manager's channel as it runs: real store, fleet, listener and enrolment on loopback, and peers that speak real SSH to it."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import asyncssh

from common.ids import MANAGEMENT_NODE, NodeName
from common.pki.certificate import decode
from common.runtime import dial
from common.runtime.ssh import common_options, generate_key, load_key, public_line, sign
from common.runtime.supervise import Supervisor
from common.runtime.transport import Peer, Transport
from common.wire.enrolment import EnrolReply, EnrolRequest, hash_secret, rotation_statement
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from manager.channel.enrolment import Enrolment
from manager.channel.keys import KeyRegistry
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.manager_enrolment import ManagerEnrolment
from manager.channel.sources import KnownSources
from manager.domain.callers import Maker
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.renewal.records import ChallengeKind
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.pki.read.upload import read_tls
from manager.store.inventory import Inventories
from manager.store.sealing import load_keyring, read_kek
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.kept import new_certificate
from manager.usecases.managers import ManagerUseCases, Shared
from manager.usecases.node_keys import NodeKeyUseCases
from manager.usecases.nodes import JoinFacts
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from nodeagent.channel.join import ask
from tests import pki
from tests.fakes.simulator import NodeSimulator
from tests.fakes.workers import InPlace, InThread
from tests.patience import PATIENCE_S
from tests.store_template import EMPTY

ANCHOR = pki.make_root("Anchor")
ROOT, ISSUER = pki.current_ca("Fleet")


class Raw(asyncssh.SSHClientSession[bytes]):
    """A session that keeps every byte that it is sent."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class Watched(Peer):
    """A simulated node on a real connection, and every byte that came to it."""

    def __init__(self, node: NodeSimulator) -> None:
        self.node = node
        node.decoder = FrameDecoder(FRAME_MAX_BYTES)
        self.received = bytearray()
        self.lost = asyncio.Event()
        self.transport: Transport | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.node.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()
        self.node.connection_lost(error)


class Manager:
    """What `manager()` gives."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        directory: KeyRegistry,
        listener: Listener,
        host_line: str,
        context: Context,
    ) -> None:
        self.store = store
        self.fleet = fleet
        self.directory = directory
        self.listener = listener
        self.host_line = host_line
        join = JoinFacts(addresses=lambda: [self.address], fingerprint=lambda: "SHA256:x", lifetime_s=600)
        self.use_cases = UseCases(
            context, join=join, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind)
        )
        self.keys_of: dict[str, list[str]] = {}
        self._opened: list[asyncssh.SSHClientConnection] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.port}"

    async def add(self, *names: str) -> None:
        """Add nodes, each with a certificate of its own."""
        for name in names:
            async with self.store.transaction():
                record = await self.store.nodes.add(
                    NodeName(name), "node", names=[f"{name}.example.test"], addresses=(), now_s=time.time()
                )
                self.store.after_commit(lambda record=record: self.fleet.node_added(record))
            await self.assign(name)

    async def assign(self, name: str) -> None:
        """Give a node another certificate; remember its key."""
        made = pki.current_leaf(ISSUER, [f"{name}.example.test"])
        text = made.certificate_pem + ISSUER.certificate_pem
        record, _ = await self.store.certificates.add(
            new_certificate(read_tls(certificate=text, private_key=made.key_pem)), now_s=time.time()
        )
        await self.store.assignments.assign(record.id, [NodeName(name)], "server")
        self.keys_of.setdefault(name, []).append(made.key_pem)
        self.fleet.changed([NodeName(name)], cause="test")

    async def remove(self, name: str) -> None:
        """Remove a node as an administrator does who has read what follows."""
        try:
            await self.use_cases.nodes.remove(name, actor="test")
        except ConfirmationNeededError as error:
            await self.use_cases.nodes.remove(name, confirm=error.token, actor="test")

    async def token(self, name: str) -> str:
        secret, now_s = secrets.token_urlsafe(16), time.time()
        await self.store.nodes.add_join_token(
            NodeName(name),
            secret_hash=hash_secret(secret),
            created_by="test",
            maker=Maker(),
            expires_s=now_s + 600,
            now_s=now_s,
        )
        return secret

    async def ask(self, key: asyncssh.SSHKey, request: EnrolRequest) -> EnrolReply:
        return await ask([self.address], key=key, trusts=lambda line: line == self.host_line, request=request)

    async def join(self, name: str, secret: str | None = None) -> asyncssh.SSHKey:
        """Join a node with a new key, and a new token if none is given."""
        key = load_key(generate_key())
        request = EnrolRequest(node=name, agent_version="0", secret=secret or await self.token(name))
        reply = await self.ask(key, request)
        assert reply.ok, reply
        return key

    async def rotate(
        self, name: str, old: asyncssh.SSHKey, new: asyncssh.SSHKey | None = None
    ) -> asyncssh.SSHKey:
        """Let a node hand over to another key."""
        new = new or load_key(generate_key())
        reply = await self.ask(new, rotation(name, old, new))
        assert reply.ok, reply
        return new

    async def login(
        self, user: str, key: asyncssh.SSHKey, *, local: str = "127.0.0.1"
    ) -> asyncssh.SSHClientConnection:
        """Log in, and do nothing else."""
        connection = await asyncssh.connect(
            "127.0.0.1",
            self.listener.port,
            local_addr=(local, 0),
            username=user,
            client_keys=[key],
            agent_path=None,
            known_hosts=None,
            **common_options(),
        )
        return self.keep(connection)

    def keep(self, connection: asyncssh.SSHClientConnection) -> asyncssh.SSHClientConnection:
        """See to it that a connection ends with the manager."""
        self._opened.append(connection)
        return connection

    async def hang_up(self) -> None:
        """End every connection that is kept."""
        for connection in self._opened:
            connection.abort()
            await connection.wait_closed()

    async def converse(self, name: str, key: asyncssh.SSHKey, *, local: str = "127.0.0.1") -> Watched:
        """Connect a simulated node that holds this key."""
        watched = Watched(NodeSimulator(NodeName(name)))
        who = Identity(node=NodeName(name), addresses=(self.address,), host_keys=(self.host_line,), key=key)
        connected_from = dial._connected

        async def connected(connecting: socket.socket, where: object) -> socket.socket:
            connecting.bind((local, 0))
            return await connected_from(connecting, where)

        with patch.object(dial, "_connected", connected):
            watched.transport = await connect(who, peer=watched)
        watched.node.greet(watched.transport)
        return watched

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not done():  # noqa: ASYNC110 - looks on, as an operator would
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not in time; the nodes: {self.fleet.view()}") from None

    async def until_in_sync(self, name: str) -> None:
        await self.until(lambda: self.fleet.node(NodeName(name)).state == "in_sync")


def rotation(name: str, old: asyncssh.SSHKey, new: asyncssh.SSHKey, pinning: str = "") -> EnrolRequest:
    """Return the request by which the holder of `old` hands over to `new`; "" is what an agent of the release before names."""
    proof = sign(old, rotation_statement(name, public_line(new), pinning))
    return EnrolRequest(node=name, agent_version="0", proof=proof)


async def ends(connection: asyncssh.SSHClientConnection) -> None:
    """Wait until the manager has ended a connection."""
    async with asyncio.timeout(PATIENCE_S):
        await connection.wait_closed()


DATABASE = "postgresql://certcast:tell-nobody@db.example.com/certcast"
"""What another manager may be told of the store."""


def shared_by(directory: Path) -> Shared:
    """Return what the manager of a directory shares with others: as if its store were on a server."""

    async def read() -> bytes:
        return read_kek(directory)

    return Shared(
        read_kek=read, kek_ids=load_keyring(directory).ids, database=DATABASE, version=version("certcast")
    )


@asynccontextmanager
async def manager(
    directory: Path, limits: Limits | None = None, workers: InPlace | InThread | None = None
) -> AsyncIterator[Manager]:
    """Run it over a new store in a directory."""
    store = await EMPTY.copy(directory)
    host_key, keys = load_key(generate_key()), KeyRegistry({})
    inventories = Inventories(store, [decode(ANCHOR.certificate_der)])
    fleet = Fleet(store, Compiler(store, inventories), keys, own_node=MANAGEMENT_NODE, epoch=1)
    await fleet.load()
    context = Context(
        store=store,
        inventories=inventories,
        fleet=fleet,
        workers=workers or InPlace(),
        own_node=MANAGEMENT_NODE,
        clock=time.time,
    )
    enrolment = Enrolment(NodeKeyUseCases(context), host_keys=[public_line(host_key)], epoch=1)
    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[host_key],
        keys=keys,
        admit=fleet.conversations.admit,
        accept=fleet.conversations.accept,
        enrol=enrolment.enrol,
        enrol_manager=ManagerEnrolment(
            ManagerUseCases(context, shared_by(directory)),
            host_keys=lambda: enrolment.host_keys,
            epoch=1,
        ).enrol,
        limits=limits or Limits(),
        sources=KnownSources(),
    )
    await listener.start()
    try:
        async with Supervisor() as supervisor:
            for name, loop in (*fleet.loops().items(), ("listener", listener.run)):
                supervisor.keep(name, loop)
            there = Manager(store, fleet, keys, listener, public_line(host_key), context)
            try:
                yield there
            finally:
                await there.hang_up()
                await fleet.close()
    finally:
        await listener.close()
        await store.close()
