"""The accept loop of every port that strangers can reach, in both daemons.

asyncio's own servers try a full descriptor table again as often as their backlog is long, with a traceback for each. Here whoever
listens waits longer after each failure, and others have their turn between connections. Invariant: however many arrive, and
whatever the system lacks, the loop goes on with everything else.
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable
from typing import Final

import structlog

from common.runtime.system_error import words_of

log = structlog.get_logger(__name__)

BACKLOG: Final = 4096
"""Connections that the kernel holds while we are busy with others: a fleet that comes back at once."""

SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of accept(2) that stay until somebody gives something back. All others are of the one connection that failed."""

BACK_OFF_S: Final = (0.1, 0.2, 0.4, 0.8, 1.0)
"""How long accepting rests after the first, second, ... failure in a row."""

REFUSED_PER_TURN: Final = 16
"""Connections that are turned away before the loop has its next turn."""

Admit = Callable[[socket.socket, str], bool]
"""Takes a connection and its address; False, with the connection closed, if it is not let in. Must not raise."""


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
    """Close a socket that may be accepted from just now."""
    if listening.fileno() != -1:
        # the loop knows it by its number, which somebody else gets next
        asyncio.get_running_loop().remove_reader(listening.fileno())
        listening.close()


def has_hung_up(number: int) -> bool:
    """Whether the peer of the socket with this number has closed its side, though what it sent before may be unread."""
    watched = select.poll()
    watched.register(number, select.POLLRDHUP)
    return bool(watched.poll(0))


async def accept_from(listening: socket.socket, admit: Admit, *, per_turn: int) -> None:
    """Accept until cancelled, or the socket is closed; let in at most `per_turn` before the loop has its next turn."""
    loop = asyncio.get_running_loop()
    failures = refused = let_in = 0
    while True:
        try:
            accepted, address = await loop.sock_accept(listening)
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
        if admit(accepted, address[0]):
            let_in += 1
        else:
            refused += 1
        if let_in >= per_turn or refused >= REFUSED_PER_TURN:
            # an accept that succeeds at once gives nobody else a turn
            let_in = refused = 0
            await asyncio.sleep(0)
