"""SSH server of the nodes' channel: offers one subsystem, one raw session, and nothing else.

Owns the listening socket and every SSH connection; waiting peers are in `arrivals`. The key registry decides
whose key is whose; the peer of a session handles its messages. Invariants: there is no shell, exec, pty,
sftp, forwarding or second session for any peer. A login is only as good as its key is now: the key is checked
again when a session is opened, and the connection is cut as soon as the key is revoked.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import asyncssh

from common.errors import Reason, UnreachableError
from common.runtime.acceptor import accept_from, listen, stop_listening
from common.runtime.ssh import (
    SUCCESSION,
    accepting_options,
    public_line,
)
from common.runtime.supervise import Supervisor
from common.runtime.transport import Peer, Transport
from manager.channel.arrivals import Arrivals
from manager.channel.guard import READ_BYTES, SocketGuard
from manager.channel.joining import Enrol, EnrolManager, JoinPeer, manager_question, node_question
from manager.channel.keys import KeyRegistry, PinnedKey
from manager.channel.limits import Limits
from manager.channel.login import Accept, Admit, CountedConnection, Login
from manager.channel.logins import Logins
from manager.channel.sources import KnownSources
from manager.channel.visitors import Visitor

ACCEPTED_PER_TURN: Final = 16
"""How many connections are accepted before the loop's next turn. A waiting one costs a twentieth of a login,
and clients beyond the system's own queue (`BACKLOG`) must dial again.
"""


class Listener:
    """The listener.

    `enrol` receives a node's request, the peer's address and the key proven at login; `enrol_manager` the
    same for a manager.

    `admit` tells whether a node that has just logged in from this address may stay; `sources` are the
    addresses nodes are known to come from.
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
        self._arrivals = Arrivals(limits, sources, self._begin)
        self.gate = self._arrivals.gate
        self.logins = Logins(self.gate)
        self.supervisor = Supervisor()
        self._socket: socket.socket | None = None
        self._vouching: asyncssh.SSHKey | None = None
        self.host_key = ""
        self._options: asyncssh.SSHServerConnectionOptions | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._arriving: Login | None = None
        self._buffer = bytearray(READ_BYTES)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    @property
    def connections(self) -> int:
        """How many SSH connections there are."""
        return len(self._connections)

    async def start(self) -> None:
        """Bind. Raises UnreachableError if the address is unavailable."""
        await self._construct()
        try:
            self._socket = listen(self._host, self._port)
        except OSError as error:
            raise UnreachableError(
                f"the nodes' channel cannot be bound to {self._host}:{self._port}: {error.strerror}"
            ) from error

    async def present(self, key: asyncssh.SSHKey, *, vouching: asyncssh.SSHKey | None) -> bool:
        """Present this host key from now on. `vouching` certifies it to peers that ask for a certificate.

        Return whether the key has changed: connected peers have then seen no proof of it.
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
            self.supervisor.keep("gate", self._arrivals.run_sweep)
            self.supervisor.keep("turns", self._arrivals.run_turns)
            await accept_from(self._socket, self._admit, per_turn=ACCEPTED_PER_TURN)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._socket is not None:
            stop_listening(self._socket)
        self._arrivals.close()
        for connection in list(self._connections):
            connection.close()

    def _admit(self, accepted: socket.socket, address: str) -> bool:
        return self._arrivals.admit(accepted, address, connections=len(self._connections))

    def _begin(self, visitor: Visitor, accepted: socket.socket) -> None:
        self.supervisor.run("arrival", self._connect(visitor, accepted))

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
            visitor.let_go()
            accepted.close()

    def _connection(self, guard: SocketGuard, address: str) -> asyncssh.SSHServerConnection:
        if self._options is None:
            raise RuntimeError("the listener has not been started")
        # called by the connection while it starts, which follows in the same turn of the loop
        self._arriving = Login(self, guard, address)
        return CountedConnection(guard.count_key_exchange, asyncio.get_running_loop(), self._options)

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
        """Return the peer that handles a node, or a manager, joining with the key of this line."""
        question = manager_question(self.enrol_manager) if is_manager else node_question(self.enrol)
        return JoinPeer(guard, transport, line, question, self.supervisor)

    def _key_revoked(self, key: PinnedKey, reason: Reason) -> None:
        """Cut all connections logged in with a key.

        The addresses of a removed node become strangers' again.
        """
        if reason == Reason.FORBIDDEN:
            self.sources.forget(key.node)
        self.logins.end(key)


def _vouch(former: asyncssh.SSHKey, key: asyncssh.SSHKey) -> asyncssh.SSHCertificate:
    """Return the former key's certificate for this one.

    It holds for any name and time, as the pinned key counts until it is dropped.
    """
    return former.generate_host_certificate(key.convert_to_public(), SUCCESSION)
