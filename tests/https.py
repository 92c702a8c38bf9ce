"""HTTPS servers for tests: no proxy is in front of one, and nobody is known to it, unless a test says so."""

from collections.abc import Callable

from aiohttp import web

from manager.http.seat_limits import SeatLimits
from manager.http.server import HttpsServer


def nobody(_address: str) -> bool:
    """Say that there is no proxy, and nobody known."""
    return False


def https_server(
    app: web.Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    is_proxy: Callable[[str], bool] = nobody,
    is_known: Callable[[str], bool] = nobody,
    **limits: float,
) -> HttpsServer:
    """Return one with these limits of `SeatLimits`, the others as they are."""
    held = SeatLimits(is_proxy=is_proxy, is_known=is_known, **limits)  # type: ignore[arg-type]  # counts among them
    return HttpsServer(app, host=host, port=port, limits=held)
