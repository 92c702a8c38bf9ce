"""The nodes' channel: an SSH server that offers one subsystem, one raw session, and nothing else.

Owns the listening socket and every SSH connection. Whose key is whose is the key registry's word; what is said on a session
is its peer's business. Invariant: no shell, exec, pty, sftp, forwarding or second session, for anybody; and a login is worth
what its key is worth now: that is asked again when a session is opened, and whoever's key is revoked is cut at once.
"""

import asyncio
import contextlib
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final

import asyncssh
import structlog

from common.errors import Reason, UnreachableError
from common.runtime.acceptor import accept_from, has_hung_up, listen, stop_listening
from common.runtime.ssh import (
    SUCCESSION,
    accepting_options,
    public_line,
)
from common.runtime.supervise import Supervisor
from common.runtime.transport import Peer, Transport
from manager.channel.gate import Gate
from manager.channel.guard import READ_BYTES, SocketGuard
from manager.channel.joining import Enrol, EnrolManager, JoinPeer, ManagerQuestion, NodeQuestion
from manager.channel.keys import KeyRegistry, PinnedKey
from manager.channel.limits import Limits
from manager.channel.login import Accept, Admit, CountedConnection, Login
from manager.channel.sources import KnownSources
from manager.channel.visitors import GONE, Visitor

log = structlog.get_logger(__name__)


SWEEP_S: Final = 0.25
"""How often it is looked whether somebody has become slow enough to give a place to who waits for it."""

ACCEPTED_PER_TURN: Final = 16
"""Connections that are let in before the loop has its next turn: to let one wait costs a twentieth of a login, and what the system's own
queue cannot hold (`BACKLOG`) dials again."""

TOLD_EVERY_S: Final = 5.0
"""How often who waits is told so. An agent hangs up on a manager that has been silent three times as long (`common.runtime.patience`)."""

TOLD_AT_ONCE: Final = 512
"""How many are told in one go, which takes some milliseconds; 10,000 have been told after five seconds."""

WAIT_LINE: Final = b"Certcast is busy and keeps this connection waiting for its turn.\r\n"
"""What is sent before the version line, where RFC 4253 4.2 lets a server say anything; clients must pass over it."""


class Listener:
    """`enrol` gets a node's request, the peer's address, and the key that the login proved; `enrol_manager` the same of a manager.

    `admit` tells whether a node that has just logged in, from this address, may stay; `sources` are where nodes are known to come from.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        host_keys: Sequence[asyncssh.SSHKey],
        keys: KeyRegistry,
        admit: Admit,
        accept: Accept,
        enrol: Enrol,
        enrol_manager: EnrolManager,
        sources: KnownSources,
        limits: Limits,
    ) -> None:
        self._host, self._port = host, port
        self._host_keys = list(host_keys)
        self.keys = keys
        keys.watchers.append(self._key_revoked)
        self.admit = admit
        self.accept = accept
        self.enrol = enrol
        self.enrol_manager = enrol_manager
        self.sources = sources
        self._due = asyncio.Event()
        self.gate = Gate(limits, sources, time.monotonic(), wake=self._due.set)
        self.supervisor = Supervisor()
        self._socket: socket.socket | None = None
        self._vouching: asyncssh.SSHKey | None = None
        self.host_key = ""
        self._options: asyncssh.SSHServerConnectionOptions | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._logins: dict[PinnedKey, list[Login]] = {}
        self._arriving: Login | None = None
        self._waiting: OrderedDict[Visitor, socket.socket] = OrderedDict()
        self._buffer = bytearray(READ_BYTES)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    @property
    def connections(self) -> int:
        """How many SSH connections there are."""
        return len(self._connections)

    async def start(self) -> None:
        """Bind. Raises UnreachableError if the address cannot be had."""
        await self._construct()
        try:
            self._socket = listen(self._host, self._port)
        except OSError as error:
            raise UnreachableError(
                f"the nodes' channel cannot be bound to {self._host}:{self._port}: {error.strerror}"
            ) from error

    async def present(self, key: asyncssh.SSHKey, *, vouching: asyncssh.SSHKey | None) -> bool:
        """Prove this host key from now on; to a peer that asks for a certificate `vouching` says that it is the manager's.

        Return whether it is another one than before: then whoever is connected has seen no proof of it.
        """
        former = self.host_key
        self._host_keys, self._vouching = [key], vouching
        await self._construct()
        return self.host_key != former

    async def _construct(self) -> None:
        self._options = await asyncssh.SSHServerConnectionOptions.construct(
            None,
            **accepting_options(),
            server_host_keys=self._host_keys,
            server_host_certs=[_vouch(self._vouching, key) for key in self._host_keys]
            if self._vouching is not None
            else (),
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            server_version="Certcast",
            server_factory=self._arrived,
        )
        self.host_key = public_line(self._host_keys[0])

    async def run(self) -> None:
        """Accept connections until cancelled."""
        if self._socket is None:
            raise RuntimeError("the listener has not been started")
        self.supervisor = Supervisor()
        async with self.supervisor:
            self.supervisor.keep("gate", self._sweep)
            self.supervisor.keep("turns", self._take_turns)
            await accept_from(self._socket, self._admit, per_turn=ACCEPTED_PER_TURN)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._socket is not None:
            stop_listening(self._socket)
        for visitor in list(self._waiting):
            self._no_longer_waiting(visitor).close()
        for connection in list(self._connections):
            connection.close()

    def _admit(self, accepted: socket.socket, address: str) -> bool:
        visitor = self.gate.arrive(
            address, connections=len(self._connections), now_s=asyncio.get_running_loop().time()
        )
        if visitor is None:
            accepted.close()
            return False
        self._waiting[visitor] = accepted
        visitor.dismiss = partial(self._turn_away, visitor)
        visitor.has_left = partial(has_hung_up, accepted.fileno())
        if not self._listen_to(visitor, accepted):
            # by its number: of a socket the loop makes a text for an error that it then drops, with two calls of the system
            asyncio.get_running_loop().add_reader(accepted.fileno(), self._spoke, visitor)
        return True

    def _spoke(self, visitor: Visitor) -> None:
        accepted = self._waiting[visitor]
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        self._listen_to(visitor, accepted)

    def _listen_to(self, visitor: Visitor, accepted: socket.socket) -> bool:
        """Tell the gate if one that waits has said something, which is read when there is a place, or has gone; False for neither."""
        try:
            has_spoken = bool(accepted.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            has_spoken = False
        if has_spoken:
            self.gate.spoke(visitor)
        else:
            self._turn_away(visitor, GONE)
        return True

    def _turn_away(self, visitor: Visitor, why: str) -> None:
        """Turn away a visitor that waits for its place."""
        if visitor in self._waiting:
            self._no_longer_waiting(visitor).close()
            self.gate.give_up(visitor, asyncio.get_running_loop().time())
            self.gate.refuse(visitor.address, why)

    def _no_longer_waiting(self, visitor: Visitor) -> socket.socket:
        accepted = self._waiting.pop(visitor)
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        return accepted

    async def _take_turns(self) -> None:
        """Begin with peers and work on handshakes, one at a time: between two of them everybody else has a turn of the loop.

        So what nodes that come back take of the loop is what others leave, and nobody waits for more than the one that is at work.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._due.clear()
            now_s = loop.time()
            beginners, turns = self.gate.beginners(now_s), self.gate.take_turns(now_s)
            for visitor in beginners:
                self.supervisor.run("arrival", self._connect(visitor, self._no_longer_waiting(visitor)))
            for visitor in turns:
                visitor.begin()
            if beginners or turns or self._due.is_set():
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.gate.until_turn_s(now_s)):
                    await self._due.wait()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._due.set()
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Tell those who have waited for a while that they wait, so that they neither hang up nor dial again."""
        now_s = asyncio.get_running_loop().time()
        for visitor, accepted in list(islice(self._waiting.items(), TOLD_AT_ONCE)):
            if visitor.told_s > now_s - TOLD_EVERY_S:
                return
            visitor.told_s = now_s
            self._waiting.move_to_end(visitor)
            try:
                accepted.send(WAIT_LINE)
            except BlockingIOError:
                # it does not read; it may wait all the same
                continue
            except OSError:
                self._turn_away(visitor, GONE)

    async def _connect(self, visitor: Visitor, accepted: socket.socket) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: SocketGuard(
                    self.gate,
                    visitor,
                    self._buffer,
                    lambda guard: self._connection(guard, visitor.address),
                ),
                accepted,
            )
        except OSError:
            self.gate.leave(visitor)
            accepted.close()

    def _connection(self, guard: SocketGuard, address: str) -> asyncssh.SSHServerConnection:
        if self._options is None:
            raise RuntimeError("the listener has not been started")
        # asked for by the connection while it starts, which follows at once in the same turn of the loop
        self._arriving = Login(self, guard, address)
        return CountedConnection(guard.exchanging, asyncio.get_running_loop(), self._options)

    def _arrived(self) -> Login:
        login, self._arriving = self._arriving, None
        if login is None:
            raise RuntimeError("a connection that the guard did not announce")
        return login

    def opened(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)

    def closed(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def join_peer(self, guard: SocketGuard, transport: Transport, line: str, *, is_manager: bool) -> Peer:
        """Return who hears a node, or a manager, that wants to join with the key of this line."""
        question = ManagerQuestion(self.enrol_manager) if is_manager else NodeQuestion(self.enrol)
        return JoinPeer(guard, transport, line, question, self.supervisor)

    def logged_in(self, login: Login, key: PinnedKey) -> None:
        """Keep who has logged in with a node's key; of too many the oldest goes."""
        logins = self._logins.setdefault(key, [])
        logins.append(login)
        if len(logins) > self.gate.limits.connections_per_key:
            oldest = logins.pop(0)
            self.gate.refuse(oldest.address, "too many connections of one key")
            oldest.end()

    def logged_out(self, login: Login, key: PinnedKey) -> None:
        logins = self._logins.get(key, [])
        if login in logins:
            logins.remove(login)
        if not logins:
            self._logins.pop(key, None)

    def _key_revoked(self, key: PinnedKey, reason: Reason) -> None:
        """Cut whoever logged in with a key, whatever has become of the login since; where a removed node came from is strange again."""
        if reason == Reason.FORBIDDEN:
            self.sources.forget(key.node)
        for login in list(self._logins.get(key, ())):
            login.end()


def _vouch(former: asyncssh.SSHKey, key: asyncssh.SSHKey) -> asyncssh.SSHCertificate:
    """Return the former key's word for this one: for any name and time, since the pinned key counts, and until that one is dropped."""
    return former.generate_host_certificate(key.convert_to_public(), SUCCESSION)
