"""The local HTTP endpoint: /health/live, /health/ready, /health/startup, /metrics.

Decides nothing; says what `checks` finds, with 503 as soon as one check is not ok.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from msgspec.json import encode

from common.errors import CertcastError, Reason
from nodeagent.health.checks import Check, Health
from nodeagent.health.metrics import CONTENT_TYPE, render

KEEPALIVE_S: Final = 15.0
"""Also what bounds slow request headers under AppRunner."""

REQUEST_MAX_BYTES: Final = 1024


@asynccontextmanager
async def serve_health(health: Health, *, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while the context lasts; yields the bound host and port. Raises CertcastError UNREACHABLE if it cannot."""
    app = web.Application(client_max_size=REQUEST_MAX_BYTES)

    async def live(_request: web.Request) -> web.Response:
        return _answer([Check(name="loop", ok=True, message="it answers")])

    async def ready(_request: web.Request) -> web.Response:
        return _answer(health.ready())

    async def startup(_request: web.Request) -> web.Response:
        return _answer(health.startup())

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=render(health), headers={"Content-Type": CONTENT_TYPE})

    app.add_routes(
        [
            web.get("/health/live", live),
            web.get("/health/ready", ready),
            web.get("/health/startup", startup),
            web.get("/metrics", metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEPALIVE_S, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise CertcastError(
                f"the health endpoint cannot listen on {host}:{port}: {error.strerror}; choose another with --health",
                reason=Reason.UNREACHABLE,
            ) from error
        bound = runner.addresses[0]
        yield bound[0], bound[1]
    finally:
        await runner.cleanup()


def _answer(checks: Sequence[Check]) -> web.Response:
    ok = all(check.ok for check in checks)
    body = encode({"status": "ok" if ok else "failed", "checks": list(checks)})
    return web.Response(body=body, status=200 if ok else 503, content_type="application/json")
