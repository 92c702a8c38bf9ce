"""The local HTTP endpoint: /health/live, /health/ready, /health/startup, /metrics.

Decides nothing; says what `checks` finds, with 503 as soon as one check is not ok. Requests are served by `common.runtime.http_responder`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from msgspec.json import encode

from common.errors import CertcastError, Reason
from common.runtime.http_responder import HttpResponse, responder
from nodeagent.health.check import Check, is_ready
from nodeagent.health.checks import Health
from nodeagent.health.metrics import CONTENT_TYPE, render

JSON: Final = "application/json"


@asynccontextmanager
async def serve_health(health: Health, *, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while the context lasts; yields the bound host and port. Raises CertcastError UNREACHABLE if it cannot."""
    pages: dict[str, Callable[[], HttpResponse]] = {
        "/health/live": lambda: _checked([Check(name="loop", ok=True, message="it answers")]),
        "/health/ready": lambda: _checked(health.ready()),
        "/health/startup": lambda: _checked(health.startup()),
        "/metrics": lambda: HttpResponse(200, CONTENT_TYPE, render(health).encode()),
    }

    def find(path: str) -> HttpResponse | None:
        page = pages.get(path)
        return page() if page is not None else None

    async with AsyncExitStack() as stack:
        try:
            bound = await stack.enter_async_context(responder("health", find, _problem, host=host, port=port))
        except OSError as error:
            raise CertcastError(
                f"the health endpoint cannot listen on {host}:{port}: {error.strerror}; choose another address",
                reason=Reason.UNREACHABLE,
            ) from error
        yield bound


def _checked(checks: Sequence[Check]) -> HttpResponse:
    ok = is_ready(checks)
    body = encode({"status": "ok" if ok else "failed", "checks": list(checks)})
    return HttpResponse(200 if ok else 503, JSON, body)


def _problem(status: int) -> HttpResponse:
    return HttpResponse(status, JSON, encode({"status": "failed", "checks": []}))
