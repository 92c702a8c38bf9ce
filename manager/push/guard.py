"""What stands between an accepted socket and the SSH library until the peer has proven who it is.

Decides how many peers may be unproven at once, how many bytes one may send, and how long. Leaves SSH to asyncssh.
Invariant: a peer that has not logged in costs a bounded amount of memory and time, and never a place of one that has.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

log = structlog.get_logger(__name__)

BACKLOG: Final = 4096
"""Connections that the kernel holds while we are busy with others: a fleet that comes back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What peers may do before they have logged in.

    Attributes:
        logins: handshakes at once; more wait in the kernel's queue, so that pushes to connected nodes go on.
        logins_per_address: of these, from one address; more are closed at once. A fleet may sit behind one NAT.
        login_bytes: sent by one peer before its login ends; a real login takes about 5 KB.
        login_s: how long a login may take.
        attempts: keys that one connection may try.
        session_s: how long a login may take to open its session and name its subsystem.
        connections_per_key: connections that a node's key may have logged in at once; more end the oldest. An agent has one, and
            a second one while the manager has not noticed that the first is dead.
    """

    logins: int = 128
    logins_per_address: int = 64
    login_bytes: int = 32 * 1024
    login_s: float = 15.0
    attempts: int = 3
    session_s: float = 15.0
    connections_per_key: int = 4


@dataclass(slots=True)
class Gate:
    """Counts the peers that are logging in."""

    limits: Limits
    refused: Counter[str] = field(default_factory=Counter)
    _places: asyncio.Semaphore = field(init=False)
    _addresses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.limits.logins)

    @property
    def logging_in(self) -> int:
        """How many peers have not proven themselves."""
        return self._addresses.total()

    async def wait(self) -> None:
        """Wait for a place."""
        await self._places.acquire()

    def leave(self) -> None:
        """Give back a place that was not used."""
        self._places.release()

    def enter(self, address: str) -> bool:
        """Take a place for a peer at this address; False, and the place is given back, if it has too many."""
        if self._addresses[address] >= self.limits.logins_per_address:
            self.refuse(address, "too many connections from one address")
            self._places.release()
            return False
        self._addresses[address] += 1
        return True

    def done(self, address: str) -> None:
        """Give back a peer's place: it has logged in, or is gone."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        self._places.release()

    def refuse(self, address: str, why: str) -> None:
        """Count and tell a refusal."""
        self.refused[why] += 1
        log.info("connection.refused", address=address, message=why)


class Guard(asyncio.Protocol):
    """The socket's protocol until the login ends; then the SSH connection takes its place.

    Passes everything on, counting. Owns one place at the gate.
    """

    __slots__ = ("_address", "_bytes", "_gate", "_inner", "_make", "_over", "_timer", "_transport")

    def __init__(self, gate: Gate, address: str, inner: Callable[["Guard"], asyncio.Protocol]) -> None:
        self._gate = gate
        self._address = address
        self._make = inner
        self._inner: asyncio.Protocol = self
        self._bytes = 0
        self._over = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the login's clock."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._gate.limits.login_s, self._refuse, "the login took too long")
        self._inner = self._make(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, up to the ceiling."""
        self._bytes += len(data)
        if self._bytes > self._gate.limits.login_bytes:
            self._refuse("too many bytes before the login")
            return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the peer's end on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on, and give the place back."""
        self._leave()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()

    def passed(self) -> None:
        """Step aside: the peer has proven itself."""
        if self._transport is not None and not self._over:
            self._leave()
            self._transport.set_protocol(self._inner)

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._gate.done(self._address)
            if self._timer is not None:
                self._timer.cancel()

    def _refuse(self, why: str) -> None:
        if not self._over and self._transport is not None:
            self._gate.refuse(self._address, why)
            self._transport.abort()
