"""Idle timeout of a dial: how long to wait for a silent manager.

Decides by the time since the last data. A manager to which a whole fleet returns queues connections and says so
every few seconds (`manager.channel.arrivals`); a silent one hangs, or is no manager. Invariant: every dial ends in
bounded time, whatever arrives.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

HELD_MAX_S: Final = 120.0
"""The limit of a whole dial, so that another host at one address cannot hide the manager at the next.

Ten thousand logins of 10 ms each fit.
"""

LOOKS: Final = 4
"""How often to check for new data within the allowed silence."""

TCP_INFO_BYTES: Final = 56
LAST_RECEIVED: Final = struct.Struct("=I")
LAST_RECEIVED_AT: Final = 52
"""The offset of `tcpi_last_data_recv` (milliseconds) in `struct tcp_info` (linux/tcp.h): after 8 bytes and 11 words."""


def silent_s(connected: socket.socket) -> float:
    """Return the seconds since a connection last received data, or since it was made. Raises OSError if closed."""
    info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    (silent_ms,) = LAST_RECEIVED.unpack_from(info, LAST_RECEIVED_AT)
    return float(silent_ms) / 1000


@asynccontextmanager
async def idle_timeout(connected: socket.socket, silence_s: float) -> AsyncIterator[None]:
    """Bound the time spent on a connection: raise TimeoutError after `silence_s` without data or `HELD_MAX_S`."""
    loop = asyncio.get_running_loop()
    last_s = loop.time() + HELD_MAX_S
    timer: asyncio.TimerHandle | None = None
    async with asyncio.timeout(silence_s) as deadline:

        def look() -> None:
            nonlocal timer
            timer = loop.call_later(silence_s / LOOKS, look)
            # the user of a closed connection notices that at once
            with suppress(OSError):
                until_s = loop.time() + silence_s - silent_s(connected)
                if not deadline.expired():
                    deadline.reschedule(min(until_s, last_s))

        timer = loop.call_later(silence_s / LOOKS, look)
        try:
            yield
        finally:
            timer.cancel()
