"""Connection to a manager: one SSH connection with one raw session on one subsystem; the caller judges its key.

Owns the SSH connection. Leaves to the caller when to dial again, and the advice to give after a refusal.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import asyncssh

from common.errors import AccessError, Reason, UnreachableError
from common.runtime.idle_timeout import idle_timeout
from common.runtime.session import RawSession
from common.runtime.ssh import (
    CHANNEL_WINDOW_BYTES,
    HOST_KEY_ALGORITHM,
    PACKET_BYTES,
    VOUCHED_ALGORITHM,
    common_options,
    fingerprint,
    public_line,
    send_nothing_ignored,
)
from common.runtime.system_error import words_of
from common.runtime.transport import Peer

DIAL_TIMEOUT_S: Final = 15.0
"""How long the manager may be silent before the session is open. A busy one queues logins, and says so."""

CONNECT_TIMEOUT_S: Final = 4.0
"""For the TCP connection: its first packet is sent again after one and three seconds (RFC 6298 2)."""

RESOLVE_TIMEOUT_S: Final = 6.0
"""For resolving a name: glibc asks the next server after five seconds."""

RESOLVED_MAX: Final = 4
"""How many IP addresses of one name are tried."""


class Session(RawSession, asyncssh.SSHClientSession[bytes]):
    """The dialling end of the session; grants no requests. `host_key` is the key that the manager has proven."""

    host_key = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Advice for error messages: `stranger` follows "its host key is ...", `unknown` (our key) the address."""

    stranger: str
    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialler:
    """The dialler's key, the subsystem, and the receiver of data. `trusts` judges the host key's public line."""

    user: str
    key: asyncssh.SSHKey = field(repr=False)
    subsystem: str
    trusts: Callable[[str], bool]
    advice: Advice
    peer: Peer


class HostKeyError(AccessError):
    """The host key is not trusted."""


class DialOrder(Protocol):
    """The order in which addresses are dialled."""

    def order(self, addresses: Sequence[str]) -> Sequence[str]:
        """Return the addresses in the order to dial them now."""

    def pause_s(self) -> float:
        """Return how long to wait before the next address."""


class AsGiven:
    """The list's order, without waits."""

    def order(self, addresses: Sequence[str]) -> Sequence[str]:
        """Return the list unchanged."""
        return addresses

    def pause_s(self) -> float:
        """Return 0."""
        return 0.0


AS_GIVEN: Final = AsGiven()


async def dial(
    addresses: Sequence[str],
    dialler: Dialler,
    *,
    timeout_s: float = DIAL_TIMEOUT_S,
    order: DialOrder = AS_GIVEN,
) -> Session:
    """Open the login's subsystem at the first address that answers.

    Each address has its own deadlines, so a dead one costs `CONNECT_TIMEOUT_S`. Raises UnreachableError if none
    answers, AccessError if one answers but is not the expected manager or refuses our key.
    """
    failures: list[UnreachableError] = []
    refusals: list[AccessError] = []
    for number, address in enumerate(order.order(addresses)):
        if number:
            await asyncio.sleep(order.pause_s())
        try:
            return await _dial_either(address, dialler, timeout_s)
        except TimeoutError:
            failures.append(
                UnreachableError(f"{address} did not answer in {timeout_s:g} s", reason=Reason.TIMEOUT)
            )
        except UnreachableError as error:
            failures.append(error)
        except AccessError as error:
            # another host at one address must not hide the manager at the next
            refusals.append(error)
    if refusals:
        raise AccessError("; ".join(each.message for each in refusals), reason=refusals[-1].reason)
    if not failures:
        raise UnreachableError("no address of the manager is known; join again")
    raise UnreachableError("; ".join(each.message for each in failures), reason=failures[-1].reason)


async def _dial_either(address: str, dialler: Dialler, timeout_s: float) -> Session:
    """Open the session with a trusted host key, or with one for which a trusted key vouches."""
    stranger: AccessError | None = None
    for algorithm in (HOST_KEY_ALGORITHM, VOUCHED_ALGORITHM):
        connected = await _reach(address)
        try:
            async with idle_timeout(connected, timeout_s):
                judge = _Judge(dialler.trusts, algorithm, dialler.advice)
                return await _dial_one(address, connected, dialler, judge)
        except HostKeyError as error:
            stranger = stranger or error
        except UnreachableError:
            # it has no such statement, or is an earlier release: the key that it showed first counts
            if stranger is None:
                raise
    raise stranger or UnreachableError(address)


async def _reach(address: str) -> socket.socket:
    """Connect. Raises UnreachableError."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise UnreachableError(
            f"{address}: its name was not resolved in time", reason=Reason.TIMEOUT
        ) from error
    except OSError as error:
        raise UnreachableError(f"{address}: {words_of(error)}") from error
    except (ValueError, OverflowError) as error:  # not HOST:PORT, or not a valid name (RFC 1035, IDNA)
        raise UnreachableError(f"{address}: it is not an address") from error
    failure = UnreachableError(f"{address}: its name has no address")
    for family, kind, protocol, _, where in found[:RESOLVED_MAX]:
        try:
            return await _connected(socket.socket(family, kind, protocol), where)
        except TimeoutError:
            text = f"{address} did not answer in {CONNECT_TIMEOUT_S:g} s"
            failure = UnreachableError(text, reason=Reason.TIMEOUT)
        except OSError as error:
            failure = UnreachableError(f"{address}: {words_of(error)}")
    raise failure


async def _connected(connecting: socket.socket, where: Any) -> socket.socket:
    try:
        connecting.setblocking(False)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(connecting, where)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _dial_one(address: str, connected: socket.socket, dialler: Dialler, judge: "_Judge") -> Session:
    connection = await _log_in(address, connected, dialler, judge)
    presented = connection.get_server_host_key()
    session = Session(connection, address, dialler.peer)
    session.host_key = public_line(presented) if presented is not None else ""
    try:
        await connection.create_session(
            lambda: session,
            subsystem=dialler.subsystem,
            encoding=None,
            window=CHANNEL_WINDOW_BYTES,
            max_pktsize=PACKET_BYTES,
        )
    except (OSError, asyncssh.Error) as error:
        connection.abort()
        raise UnreachableError(f"{address} refused the channel: {getattr(error, 'reason', error)}") from error
    except BaseException:
        connection.abort()
        raise
    return session


async def _log_in(
    address: str, connected: socket.socket, dialler: Dialler, judge: "_Judge"
) -> asyncssh.SSHClientConnection:
    """Connect and authenticate both sides. Raises AccessError, UnreachableError."""
    options: dict[str, Any] = {
        **common_options(),
        "username": dialler.user,
        "client_keys": [dialler.key],
        "agent_path": None,
        "known_hosts": ([], [], []),
        "server_host_key_algs": [judge.algorithm],
        "preferred_auth": ["publickey"],
        "client_version": "Certcast",
        "tcp_keepalive": True,
        # the library's own deadline would end logins that are queued
        "login_timeout": 0,
    }
    try:
        return await asyncssh.connect(sock=connected, client_factory=lambda: judge, **options)
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyError(
            f"{address} is not the expected manager: its host key is {judge.seen or 'unknown'}, {judge.advice.stranger}"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise AccessError(f"{address} {judge.advice.unknown}", reason=Reason.FORBIDDEN) from error
    except (OSError, asyncssh.Error) as error:
        text = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
        raise UnreachableError(f"{address}: {text}") from error
    finally:
        if not judge.is_connected:
            # asyncssh reads its options before it takes the socket: after a cancellation in between, the socket is still ours
            connected.close()


class _Judge(asyncssh.SSHClient):
    """Judges the host key by the pin alone; names and addresses prove nothing."""

    def __init__(self, trusts: Callable[[str], bool], algorithm: str, advice: Advice) -> None:
        self._trusts = trusts
        self.algorithm = algorithm
        self.advice = advice
        self.seen = ""
        self.is_connected = False
        """Whether a connection owns the socket, and so closes it."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.is_connected = True
        send_nothing_ignored(conn)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        line = public_line(key)
        self.seen = fingerprint(line)
        return self._trusts(line)

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._trusts(public_line(key))
