"""HTTPS servers for tests: without proxies and known clients, unless a test adds them."""

from collections.abc import Callable

from aiohttp import web

from manager.http.seat_limits import SeatLimits
from manager.http.server import HttpsServer


def nobody(_address: str) -> bool:
    """Return False: no address is a proxy or a known client."""
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
    """Return a server with these limits of `SeatLimits`, and defaults for the others."""
    held = SeatLimits(is_proxy=is_proxy, is_known=is_known, **limits)  # type: ignore[arg-type]  # counts among them
    return HttpsServer(app, host=host, port=port, limits=held)
