"""Idle timeout of a dial: for how long a manager that says nothing is waited for.

Decides by when something last came. A manager to which a whole fleet returns keeps connections waiting and says so every few seconds
(`manager.channel.arrivals`); one that says nothing is hung, or is not a manager. Invariant: whatever comes, a dial is over in time.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

HELD_MAX_S: Final = 120.0
"""For a dial in all: another host at one address must not hide the manager at the next. Ten thousand logins that take 10 ms each fit."""

LOOKS: Final = 4
"""How often it is looked, in the time that silence may last, whether something came."""

TCP_INFO_BYTES: Final = 56
LAST_RECEIVED: Final = struct.Struct("=I")
LAST_RECEIVED_AT: Final = 52
"""Where `tcpi_last_data_recv`, milliseconds, is in `struct tcp_info` (linux/tcp.h): before it 8 bytes and 11 words."""


def silent_s(connected: socket.socket) -> float:
    """Return the seconds since a connection last received anything, or since it was made. Raises OSError once it is closed."""
    info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    (silent_ms,) = LAST_RECEIVED.unpack_from(info, LAST_RECEIVED_AT)
    return float(silent_ms) / 1000


@asynccontextmanager
async def idle_timeout(connected: socket.socket, silence_s: float) -> AsyncIterator[None]:
    """Bound what is done over a connection: raises TimeoutError once nothing has come for `silence_s`, or after `HELD_MAX_S`."""
    loop = asyncio.get_running_loop()
    last_s = loop.time() + HELD_MAX_S
    timer: asyncio.TimerHandle | None = None
    async with asyncio.timeout(silence_s) as deadline:

        def look() -> None:
            nonlocal timer
            timer = loop.call_later(silence_s / LOOKS, look)
            # on a connection that is over whoever uses it learns that at once
            with suppress(OSError):
                until_s = loop.time() + silence_s - silent_s(connected)
                if not deadline.expired():
                    deadline.reschedule(min(until_s, last_s))

        timer = loop.call_later(silence_s / LOOKS, look)
        try:
            yield
        finally:
            timer.cancel()
