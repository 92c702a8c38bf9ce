"""The API of a manager that renews at a CA in memory."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.ports import Cas
from manager.usecases.renewal.runner import RenewalRunner
from manager.usecases.workers import Workers
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.lead import FakeLead
from tests.fakes.showing import ModelShowing
from tests.integration.api import ApiClient, real_api

ACCOUNT = {
    "name": "le",
    "directory_url": "https://ca.example.test/directory",
    "staging_url": "https://staging.example.test/directory",
    "contact": ["ops@example.test"],
}
TURNS = 50
"""Far more looks than an order has steps."""

POLL_S = 60.0
"""No step waits as long for its CA; after a failure a renewal rests for longer."""


@dataclass
class RenewingApi:
    """`carry_on` is how a test lets orders come to their end, or to their first failure."""

    api: ApiClient
    cas: Cas
    ca: CaServer
    showing: ModelShowing

    async def account(self, **changes: Any) -> int:
        """Make an account, and trust the CA's certificates."""
        pem = self.ca.root.certificate_pem
        assert (await self.api.call("POST", "trusted-cas", {"certificates": pem}))[0] in {200, 201}
        status, made = await self.api.call("POST", "accounts", ACCOUNT | changes)
        assert status == 201, made
        return int(made["id"])

    async def carry_on(self) -> None:
        """Let the runner look until nothing is left to do within the minute; its time passes as fast as it waits."""
        now = [time.time()]
        dependencies = Dependencies(
            context=replace(self.api.context, clock=lambda: now[0]),
            cas=self.cas,
            showings={ChallengeKind.HTTP: self.showing},
            fleet=self.api.fleet,
        )
        runner = RenewalRunner(dependencies, at_once=1)
        for _ in range(TURNS):
            next_s = await runner.once(FakeLead())
            if next_s > now[0] + POLL_S:
                return
            now[0] = max(next_s, now[0] + 1.0)
        raise AssertionError("there is no end of it")


@asynccontextmanager
async def renewing_api(directory: Path, workers: Workers) -> AsyncIterator[RenewingApi]:
    """Run one in an empty directory."""
    showing = ModelShowing(time.time)
    ca = CaServer(time.time, showing)
    cas = ModelCas(ca, CaServer(time.time, showing))
    async with real_api(directory, workers, cas=cas) as client:
        yield RenewingApi(api=client, cas=cas, ca=ca, showing=showing)
