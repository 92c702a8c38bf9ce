"""Health endpoints, for machines that poll every few seconds.

Decides nothing: the composition root supplies the checks. Invariant: ready means that the store answers,
reconciling advances, and the manager serves the installed certificate, which has not expired.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import web

from common.errors import CertcastError
from manager.http.metrics import Metrics
from manager.http.middleware import add_route

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_S: Final = 5.0
REMEMBERED_S: Final = 1.0
"""How long an answer is cached: anyone may ask, and a check writes to the disk."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. `probe` returns "" if it holds, otherwise the reason why not."""

    name: str
    probe: Callable[[], Awaitable[str]]


class CheckAnswer(msgspec.Struct, frozen=True):
    """The result of one check."""

    name: str
    ok: bool
    message: str


class HealthAnswer(msgspec.Struct, frozen=True):
    """All checks, and whether all of them hold."""

    status: str
    checks: list[CheckAnswer]


DRAINING: Final = CheckAnswer("draining", False, "this manager is being stopped")


class Health:
    """The three health endpoints. `ready` are the checks; startup is over once all have held."""

    def __init__(self, ready: Sequence[Check], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ready = ready
        self._clock = clock
        self._started = False
        self._checking = asyncio.Lock()
        self._answers: list[CheckAnswer] = []
        self._until_s = float("-inf")
        self._is_draining = False

    def drain(self) -> None:
        """Report not ready from now on.

        The manager is about to stop; load balancers should send new requests elsewhere.
        """
        self._is_draining = True

    async def live(self, _request: web.Request) -> web.Response:
        """Answer 200: an answer is proof enough."""
        return _answer([])

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 if every check holds, otherwise 503 with the reasons."""
        return _answer([DRAINING] if self._is_draining else await self.check())

    async def startup(self, _request: web.Request) -> web.Response:
        """Answer 503 until every check has held once."""
        return _answer([] if self._started else await self.check())

    async def check(self) -> list[CheckAnswer]:
        """Run every check concurrently. Callers meanwhile, or shortly after, get the same answers."""
        async with self._checking:
            if self._clock() >= self._until_s:
                self._answers = list(await asyncio.gather(*(_check(each) for each in self._ready)))
                self._until_s = self._clock() + REMEMBERED_S
                self._started = self._started or all(each.ok for each in self._answers)
            return self._answers


def add_routes(app: web.Application, health: Health, metrics: Metrics) -> None:
    """Mount the health and metrics endpoints."""
    add_route(app, "GET", "/health/live", health.live)
    add_route(app, "GET", "/health/ready", health.ready)
    add_route(app, "GET", "/health/startup", health.startup)
    add_route(app, "GET", "/metrics", metrics.show)


async def _check(check: Check) -> CheckAnswer:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await check.probe()
    except TimeoutError:
        found = f"no answer within {CHECK_TIMEOUT_S:g} s"
    except CertcastError as error:
        found = error.message
    except Exception:
        log.exception("http.request_failed", path=f"/health, {check.name}")
        found = "the check itself failed; see the manager's log"
    return CheckAnswer(check.name, not found, found or "ok")


def _answer(checks: list[CheckAnswer]) -> web.Response:
    healthy = all(check.ok for check in checks)
    body = HealthAnswer("ok" if healthy else "failing", checks)
    return web.Response(
        status=200 if healthy else 503,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
