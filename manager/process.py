"""Process integration with the service manager: signals, notices, watchdog.

Decides when a start is complete and when the run ends. Leaves the work to `manager.app`.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from common.runtime import sdnotify

log = structlog.get_logger(__name__)

FIRST_CERTIFICATE_S: Final = 15.0
"""How long a first start waits for its certificate before it reports ready; it stays up without one too."""

PULSE_S: Final = 1.0


def on_hangup(act: Callable[[], None]) -> None:
    """Call `act` at each SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def be_ready_until(
    stopped: asyncio.Event, *, certificate_shown: Awaitable[object], drain: Callable[[], Awaitable[None]]
) -> None:
    """Report ready once the endpoint has a certificate; wait for the stop signal, and drain."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_CERTIFICATE_S):
            await certificate_shown
    sdnotify.notify(sdnotify.READY)
    await stopped.wait()
    sdnotify.notify(sdnotify.STOPPING)
    await drain()


async def drain(stop_being_ready: Callable[[], None], seconds: int) -> None:
    """Go on serving for a moment while not ready, so that load balancers move on before the port closes."""
    if seconds:
        stop_being_ready()
        log.info("manager.draining", duration_ms=1000 * seconds)
        await asyncio.sleep(seconds)


async def pulse() -> None:
    """Feed the service manager's watchdog from the main event loop."""
    interval_s = sdnotify.watchdog_interval_s()
    while True:
        if interval_s is not None:
            sdnotify.notify(sdnotify.WATCHDOG)
        await asyncio.sleep(min(PULSE_S, interval_s or PULSE_S))
