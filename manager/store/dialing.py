"""Dialing a PostgreSQL server: the layer between the driver and its socket.

The driver makes connections through an event loop. The loop that it gets here makes them, and lets it read
only screened messages. Decides whether the owner of a Unix socket may be the server. Invariant: the driver
sends nothing to a Unix socket that anybody could have made, and reads nothing unscreened.
"""

import asyncio
import os
import pwd
import socket
import ssl
import stat
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so

from common.errors import InvalidInputError, Reason
from common.runtime.trusted import name_of
from manager.store.address import FIELD, ServerAddress
from manager.store.message_screen import GARBLED, NotAcceptedError, Screening

_CREDENTIALS: Final = struct.Struct("3i")
"""The kernel's description of a peer: its process, account and group (unix(7), SO_PEERCRED)."""

ANYBODYS_SOCKET: Final = (
    "the socket there was made by '{account}' in a directory in which anybody can make one; let the server make its own in a "
    "directory of its account (unix_socket_directories), and name that"
)

ProtocolFactory = Callable[[], asyncio.Protocol]


class DialedConnection(asyncpg.Connection):  # type: ignore[misc]  # the driver says nothing of its types
    """A connection made by a `Dialer`, which it no longer needs."""

    __slots__ = ("timeline",)

    timeline: str
    """The server's timeline, "" if unknown; set once the connection is settled."""

    def __init__(self, protocol: Any, transport: Any, dialer: "Dialer", *rest: Any) -> None:
        self.timeline = ""
        try:
            super().__init__(protocol, transport, dialer.loop, *rest)
        except BaseException:
            protocol.abort()
            raise


class Dialer:
    """The running loop, as seen by the driver, for making one connection.

    `is_verified`: the connection will use TLS and check the server's certificate before anything else is
    sent.
    """

    def __init__(self, *, is_verified: bool, has_password: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self._is_verified = is_verified
        self._has_password = has_password
        self._transports: list[asyncio.Transport] = []

    def hang_up(self) -> None:
        """Close the connection at once, whatever its state.

        The driver leaves some open that it could not use.
        """
        for transport in self._transports:
            transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loop, name)

    async def create_connection(
        self, factory: ProtocolFactory, host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect to a port.

        Messages are screened from the start in plain text, and once TLS is up otherwise.
        """
        if self._is_verified:
            transport, protocol = await self.loop.create_connection(factory, host, port)
            self._transports.append(transport)
            return transport, protocol
        transport, screened = await self.loop.create_connection(
            lambda: _Screened(factory(), self._screening(is_proven=False)), host, port
        )
        self._transports.append(transport)
        return transport, screened.inner

    async def start_tls(
        self, transport: Any, protocol: asyncio.BaseProtocol, context: ssl.SSLContext, *, server_hostname: str
    ) -> "_Screener":
        """Start TLS, which proves the server's identity."""
        upgraded = await self.loop.start_tls(transport, protocol, context, server_hostname=server_hostname)
        if upgraded is None:
            raise ConnectionResetError("closed during the handshake")
        self._transports.append(upgraded)
        return _Screener(upgraded, self._screening(is_proven=True))

    async def create_unix_connection(
        self, factory: ProtocolFactory, path: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect to a Unix socket if its owner may be the server. Raises NotAcceptedError."""
        connected = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            await self.loop.sock_connect(connected, path)
            await asyncio.to_thread(_check_peer, path, connected)
            transport, screened = await self.loop.create_unix_connection(
                lambda: _Screened(factory(), self._screening(is_proven=True)), sock=connected
            )
        except BaseException:
            connected.close()
            raise
        self._transports.append(transport)
        return transport, screened.inner

    def _screening(self, *, is_proven: bool) -> Screening:
        return Screening(is_proven=is_proven, has_password=self._has_password)


class _Screened(asyncio.Protocol):
    """The driver's protocol. It gets only whole messages that it can read, up to the first other one."""

    def __init__(
        self, inner: asyncio.Protocol, screening: Screening, transport: asyncio.Transport | None = None
    ) -> None:
        self.inner = inner
        self._screening = screening
        self._transport = transport
        self._failure: NotAcceptedError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._failure is not None or self._transport is None:
            return
        try:
            if whole := self._screening.take(data):
                self.inner.data_received(whole)
        except NotAcceptedError as failure:
            self._end(failure)
        except Exception as error:  # noqa: BLE001 - whatever of a message the driver cannot read
            unread = NotAcceptedError(GARBLED)
            unread.__cause__ = error
            self._end(unread)

    def _end(self, failure: NotAcceptedError) -> None:
        self._failure = failure
        cast("asyncio.Transport", self._transport).abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(self._failure or exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()


class _Screener:
    """A transport that gives screened messages to any protocol that the driver sets."""

    def __init__(self, transport: asyncio.Transport, screening: Screening) -> None:
        self._transport = transport
        self._screening = screening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self._transport.set_protocol(_Screened(protocol, self._screening, self._transport))


def _check_peer(path: str, connected: socket.socket) -> None:
    directory = os.stat(os.path.dirname(path))  # noqa: PTH116, PTH120 - as the driver has it
    account = _CREDENTIALS.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )[1]
    if is_anybodys(directory_mode=directory.st_mode, account=account, own=os.geteuid()):
        raise NotAcceptedError(ANYBODYS_SOCKET.format(account=name_of(account)), Reason.PERMISSION)


def is_anybodys(*, directory_mode: int, account: int, own: int) -> bool:
    """Whether a socket is neither root's nor ours, and in a directory where anybody can make one."""
    return bool(directory_mode & stat.S_IWOTH) and account not in {0, own}


def account_name() -> str:
    """Return the name of our account, which is the default role of a URL without a user.

    Raises InvalidInputError.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise InvalidInputError(
            FIELD, f"the URL names no user, and account {os.geteuid()} has no name here to take its place"
        ) from error


def tls_context(address: ServerAddress) -> ssl.SSLContext:
    """Return the context that checks a server's certificate. Raises InvalidInputError."""
    try:
        context = ssl.create_default_context(cafile=address.root_certificates)
    except ssl.SSLError as error:
        raise InvalidInputError(
            FIELD, f"{address.root_certificates} ('sslrootcert') holds no certificate in PEM"
        ) from error
    except OSError as error:
        raise InvalidInputError(
            FIELD, f"{address.root_certificates} ('sslrootcert') cannot be read: {error.strerror}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
