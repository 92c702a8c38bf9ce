"""The accept loop of every port that strangers can reach, in both daemons.

When the descriptor table is full, asyncio's own servers retry once per backlog entry, each with a traceback. This
acceptor waits longer after each failure, and yields to other tasks between connections. Invariant: the event loop
keeps running however many connections arrive and whatever the system lacks.
"""

import asyncio
import errno
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from common.runtime.system_error import words_of

log = structlog.get_logger(__name__)

BACKLOG: Final = 4096
"""Connections that the kernel queues while the loop is busy, as when a whole fleet reconnects."""

SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of accept(2) that last until resources are released. All others concern only the failed connection."""

BACK_OFF_S: Final = (0.1, 0.2, 0.4, 0.8, 1.0)
"""How long accepting rests after the first, second, ... failure in a row."""

REFUSED_PER_TURN: Final = 16
"""Connections refused per turn of the loop."""

TAKEN_PER_TURN: Final = 64
"""Connections taken out of the kernel's queue per turn of the loop, at some microseconds each."""

Admit = Callable[[socket.socket, str], bool]
"""Takes a non-blocking connection and its address. Returns False after closing a refused one. Must not raise."""


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; an empty host or `::` means all addresses. Raises OSError."""
    everywhere = host in {"", "::"} and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET
    try:
        host.encode("idna")
    except ValueError as error:
        raise OSError(errno.EINVAL, "it is not a host name or an address") from error
    try:
        listening = socket.create_server(
            (host or ("::" if everywhere else "0.0.0.0"), port),  # noqa: S104 - an empty host says so
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=everywhere,
        )
    except OSError as error:
        raise OSError(error.errno, words_of(error)) from error
    listening.setblocking(False)
    return listening


def stop_listening(listening: socket.socket) -> None:
    """Close a socket that an accept loop may still be using."""
    if listening.fileno() != -1:
        # the loop knows it by its descriptor number, which the next opened file reuses
        asyncio.get_running_loop().remove_reader(listening.fileno())
        listening.close()


def has_hung_up(number: int) -> bool:
    """Whether the peer of this socket has closed its side, even if data from before is still unread."""
    watched = select.poll()
    watched.register(number, select.POLLRDHUP)
    return bool(watched.poll(0))


Overtakes = Callable[[str], bool]
"""Tells whether connections from an address are admitted before older ones from elsewhere. Must not raise."""


class _Queue:
    """Accepted connections that wait to be admitted, at most `most` of them."""

    def __init__(self, most: int, overtakes: Overtakes) -> None:
        self._most = most
        self._overtakes = overtakes
        self._first: deque[tuple[socket.socket, str]] = deque()
        self._others: deque[tuple[socket.socket, str]] = deque()

    def __len__(self) -> int:
        return len(self._first) + len(self._others)

    def add(self, accepted: socket.socket, address: str) -> None:
        queue = self._first if self._overtakes(address) else self._others
        queue.append((accepted, address))

    def fill(self, listening: socket.socket) -> None:
        """Accept connections from the kernel's queue, up to the limit of one turn of the loop."""
        for _ in range(min(TAKEN_PER_TURN, self._most - len(self))):
            try:
                accepted, address = listening.accept()
            except OSError:
                # the queue is empty, or the next wait for a connection meets the same error
                return
            accepted.setblocking(False)
            self.add(accepted, address[0])

    def let_in(self, admit: Admit, most: int) -> None:
        """Admit at most `most` connections that overtake, and at most `most` others."""
        for queue in (self._first, self._others):
            let_in = refused = 0
            while queue and let_in < most and refused < REFUSED_PER_TURN:
                if admit(*queue.popleft()):
                    let_in += 1
                else:
                    refused += 1

    def close(self) -> None:
        """Close the connections that were not admitted."""
        for accepted, _ in (*self._first, *self._others):
            accepted.close()


def _nobody(_address: str) -> bool:
    return False


async def accept_from(
    listening: socket.socket,
    admit: Admit,
    *,
    per_turn: int,
    ahead: int = REFUSED_PER_TURN,
    overtakes: Overtakes = _nobody,
) -> None:
    """Accept until cancelled or until the socket is closed, admitting at most `per_turn` connections a turn of the loop.

    Up to `ahead` connections are taken out of the kernel's queue, which is in order of arrival, and wait here.
    Among these, connections from addresses that `overtakes` accepts go before the others. Each of the two
    kinds has `per_turn` of its own, so that neither keeps the other waiting.
    """
    loop = asyncio.get_running_loop()
    queue = _Queue(ahead, overtakes)
    failures = 0
    try:
        while True:
            try:
                if not queue:
                    accepted, address = await loop.sock_accept(listening)
                    queue.add(accepted, address[0])
            except OSError as error:
                if listening.fileno() == -1:
                    return
                if error.errno not in SCARCE:
                    await asyncio.sleep(0)
                    continue
                rest_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
                failures += 1
                log.warning("connection.refused", message=f"accept: {error.strerror}", retry_after_s=rest_s)
                await asyncio.sleep(rest_s)
                continue
            failures = 0
            queue.fill(listening)
            queue.let_in(admit, per_turn)
            # an accept that succeeds at once does not yield to other tasks
            await asyncio.sleep(0)
    finally:
        queue.close()
