"""Login on one connection to the nodes' channel, its one session, and its permitted requests.

Decides by the proven key and its present state. Leaves other connections to the listener, and messages to a
peer. Invariant: every refusal looks the same and is counted, and a peer that goes on asking is cut off.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import asyncssh
import structlog
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger

from common.runtime.session import RawSession
from common.runtime.ssh import (
    CHANNEL_WINDOW_BYTES,
    CLUSTER_SUBSYSTEM,
    JOIN_SUBSYSTEM,
    JOIN_USER,
    PACKET_BYTES,
    SUBSYSTEM,
    public_line,
)
from common.runtime.transport import Peer, Transport
from manager.channel.gate import Gate
from manager.channel.guard import SocketGuard
from manager.channel.keys import KeyRegistry, PinnedKey
from manager.channel.logins import Logins
from manager.channel.sources import KnownSources

log = structlog.get_logger(__name__)

ENVIRONMENT_HANDLER = "_process_env_request"
"""The method that asyncssh calls on a channel for each variable, without asking a session. The matrix of
requests in tests/attacks proves it.
"""

OBSTINATE = "too many refused requests"

Accept = Callable[[PinnedKey, Transport], Peer]
Admit = Callable[[PinnedKey, str], bool]


class LoginServer(Protocol):
    """The server as a login sees it; implemented by `manager.channel.listener.Listener`."""

    gate: Gate
    keys: KeyRegistry
    logins: Logins
    sources: KnownSources
    accept: Accept
    admit: Admit
    host_key: str
    """The public line of the presented host key."""

    def opened(self, connection: asyncssh.SSHServerConnection) -> None: ...

    def closed(self, connection: asyncssh.SSHServerConnection) -> None: ...

    def join_peer(self, guard: SocketGuard, transport: Transport, line: str, *, is_manager: bool) -> Peer:
        """Return the peer that handles a node, or a manager, joining with the key of this line."""


def _nothing_comes() -> bool:
    return False


class CountedConnection(asyncssh.SSHServerConnection):
    """A connection that reports each key exchange, whichever side begins it, and sends no ignored packets.

    asyncssh has no hook for key exchanges; the key exchange floods in tests/attacks show that this one works.
    Its options are the same for every user. `common.runtime.ssh` lists the packets that are not sent.
    """

    def __init__(
        self,
        on_key_exchange: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
    ) -> None:
        self._on_key_exchange = on_key_exchange
        super().__init__(loop, options)

    async def reload_config(self) -> None:
        """Keep the options.

        asyncssh would read a per-user configuration in a thread, which takes a tenth of a login; there is
        none.
        """

    def _cleanup(self, exc: Exception | None) -> None:
        super()._cleanup(exc)
        # it keeps a bound method as its next step, so everything it took would wait for a garbage collection
        self._recv_handler = _nothing_comes

    def _send_kexinit(self) -> None:
        self._on_key_exchange()
        super()._send_kexinit()

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        """Send a packet unless it must be skipped."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)


class Login(asyncssh.SSHServer):
    """One connection's authentication and its requests afterwards."""

    def __init__(self, server: LoginServer, guard: SocketGuard, address: str) -> None:
        self._server = server
        self.guard = guard
        self._host_key = server.host_key
        self._connection: asyncssh.SSHServerConnection | None = None
        self._session: _Session | None = None
        self._attempts = 0
        self._refusals = 0
        self.address = address
        self.line = ""
        """The key of the last attempt; after the login, the proven key."""
        self.is_joining = False
        self.key: PinnedKey | None = None
        """The key's node at that time; None for a joining peer."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note that the handshake begins."""
        self._connection = conn
        self._server.opened(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.key is not None:
            self._server.logins.remove(self, self.key)
        if self._connection is not None:
            self._server.closed(self._connection)
        # both refer to this login
        self._connection = self._session = None

    def begin_auth(self, username: str) -> bool:
        """Require a key from every peer."""
        return True

    def password_auth_supported(self) -> bool:
        """Accept no password."""
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Look the key up in memory. Called before and after its signature is checked, so twice per login."""
        self._attempts += 1
        if self._attempts > 2 * self._server.gate.limits.attempts:
            self.refuse("login.refused", "too many keys tried")
            if self._connection is not None:
                self._connection.abort()
            return False
        # Earlier queries do not count: a peer may ask about a node's key and then log in as another user.
        self.line, self.is_joining, self.key = public_line(key), username == JOIN_USER, None
        if self.is_joining:
            return key.get_algorithm() == "ssh-ed25519"
        owner = self._server.keys.find(self.line)
        if owner is None or owner.node != username:
            self.refuse("login.refused", f"the key is not that of node '{username[:63]}'")
            return False
        self.key = owner
        return True

    def auth_completed(self) -> None:
        """Keep the peer's identity, unless its node connects too often."""
        self.guard.note_login()
        if self.key is not None:
            self._server.logins.add(self, self.key)
            if not self._server.admit(self.key, self.address):
                self.end()

    @property
    def is_valid(self) -> bool:
        """Whether the proven key is still the node's."""
        return self.is_joining or (self.key is not None and self._server.keys.is_current(self.key))

    @property
    def is_outdated(self) -> bool:
        """Whether the host key presented to the peer was replaced since."""
        return self._host_key != self._server.host_key

    def end(self) -> None:
        """Cut the connection; a goodbye just written has a moment to leave."""
        if self._connection is None:
            return
        if self._session is not None and self._session.is_begun:
            self._session.close()
        else:
            self._connection.abort()

    def session_requested(
        self,
    ) -> "tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]] | bool":
        """Open the one session if the key is still valid."""
        if self._session is not None or self._connection is None:
            self.refuse("channel.request_refused", "a second session")
            return False
        if not self.is_valid:
            self.refuse("channel.request_refused", "a session for a key that was revoked")
            return False
        channel = self._connection.create_server_channel(
            encoding=None, window=CHANNEL_WINDOW_BYTES, max_pktsize=PACKET_BYTES
        )
        self._session = _Session(self._server, self, self._connection)
        setattr(channel, ENVIRONMENT_HANDLER, self._session.env_requested)
        return channel, self._session

    def _refuse_forwarding(self, *_where: object, **_named: object) -> bool:
        self.refuse("channel.request_refused", "forwarding")
        return False

    connection_requested = _refuse_forwarding
    unix_connection_requested = _refuse_forwarding
    server_requested = _refuse_forwarding
    unix_server_requested = _refuse_forwarding

    def refuse(self, event: str, what: str) -> None:
        """Count and log a refusal. A peer that goes on asking is cut off, which also keeps the log short."""
        self._server.gate.count_refusal(what.partition(" '")[0])
        self._refusals += 1
        if self._refusals <= self._server.gate.limits.refusals:
            log.warning(event, address=self.address, node=self.name, request=what)
        elif self._connection is not None:
            if self._refusals == self._server.gate.limits.refusals + 1:
                self._server.gate.refuse(self.address, OBSTINATE)
            self._connection.abort()

    @property
    def name(self) -> str:
        """The node's name, "" for a joining peer."""
        return self.key.node if self.key is not None else ""


class _Session(RawSession, asyncssh.SSHServerSession[bytes]):
    """The one raw session of a connection, and its permitted requests.

    No peer receives data before the subsystem is granted.
    """

    def __init__(self, server: LoginServer, login: Login, connection: asyncssh.SSHServerConnection) -> None:
        super().__init__(connection, login.address, None)
        self._server = server
        self._login = login

    @property
    def is_begun(self) -> bool:
        """Whether a peer receives its data."""
        return self._peer is not None

    def subsystem_requested(self, subsystem: str) -> bool:
        """Grant the one subsystem this login is for.

        By it, a joining peer says whether it is a node or a manager.
        """
        key = self._login.key
        wanted = (JOIN_SUBSYSTEM, CLUSTER_SUBSYSTEM) if key is None else (SUBSYSTEM,)
        if subsystem not in wanted or self._peer is not None:
            return self._refuse(f"subsystem '{subsystem[:40]}'")
        if not self._login.is_valid:
            return self._refuse("a subsystem for a key that was revoked")
        if key is not None and self._login.is_outdated:
            # it dials again; peers already connected were sent back when the key changed
            self._login.end()
            return False
        if key is None:
            self._peer = self._server.join_peer(
                self._login.guard, self, self._login.line, is_manager=subsystem == CLUSTER_SUBSYSTEM
            )
        else:
            self._login.guard.release_place()
            self._server.sources.note_login(key.node, self.address)
            self._peer = self._server.accept(key, self)
        return True

    def shell_requested(self) -> bool:
        return self._refuse("shell")

    def exec_requested(self, command: str) -> bool:
        return self._refuse("exec")

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        return self._refuse("pty")

    def env_requested(self, _packet: object) -> bool:
        """Refuse an environment variable: otherwise asyncssh would keep every one, however many come."""
        return self._refuse("environment")

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._refuse("a terminal's size")

    def signal_received(self, signal: str) -> None:
        self._refuse("signal")

    def break_received(self, msec: int) -> bool:
        return self._refuse("break")

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Pass bytes on."""
        try:
            super().data_received(data, datatype)
        except Exception:  # asyncssh would close the connection without a word
            log.exception("channel.request_failed", node=self._login.name, address=self.address)
            self.close()

    def close(self) -> None:
        """End the connection, at once if its node does not read."""
        if self.buffered_bytes:
            self._connection.abort()
            return
        super().close()

    def _refuse(self, what: str) -> bool:
        self._login.refuse("channel.request_refused", what)
        return False
