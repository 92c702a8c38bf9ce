"""Guided set-up on the pages, at a real CA that takes bound accounts only: its directory, its binding, a test order and the order in earnest."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from common.api.codes import Role
from manager.acme.ca import AcmeCas
from manager.domain.renewal.records import ChallengeKind, Proof
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.ports import Cas, Missing
from manager.usecases.renewal.runner import RenewalRunner
from manager.usecases.workers import Workers
from tests.fakes.lead import FakeLead
from tests.integration.acme.parts import show
from tests.integration.api import ApiClient, real_api
from tests.integration.web import Visitor, visitor
from tests.patience import PATIENCE_S
from tests.pebble import NEEDED, Faults, Pebble

pytestmark = NEEDED
KEY_ID, KEY = "kid-of-pages", "cGFnZXMtYW5kLXRoZWlyLXNlY3JldC1iaW5kaW5nLWtleQ"
NAME: Final = "pages.example.com"
POLL_S: Final = 60.0


@dataclass(frozen=True)
class ShownAtPebble:
    """Shows proofs where pebble looks. Implements `manager.usecases.renewal.ports.Showing`."""

    pebble: Pebble

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        for each in proofs:
            await asyncio.to_thread(show, self.pebble, ChallengeKind.HTTP, each)

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        return []

    async def remove(self, proofs: Sequence[Proof]) -> None: ...


@pytest.fixture(scope="module")
def bound_pebble(tmp_path_factory):
    root = tmp_path_factory.mktemp("pebble")
    with Pebble(root=root, faults=Faults(sleep_s=0), bindings={KEY_ID: KEY}).running() as made:
        yield made


@asynccontextmanager
async def pages(directory: Path, workers: Workers) -> AsyncIterator[tuple[ApiClient, Cas, Visitor]]:
    """Serve the pages of a manager that asks real CAs, to an administrator."""
    cas = AcmeCas(clock=time.time)
    try:
        async with (
            real_api(directory, workers, cas=cas) as api,
            visitor(api, Role.ADMINISTRATOR) as browser,
        ):
            yield api, cas, browser
    finally:
        cas.close()


async def carry_on(api: ApiClient, cas: Cas, pebble: Pebble, browser: Visitor, path: str, said: str) -> None:
    """Let orders go on until a page says something; time passes as fast as the runner waits."""
    now = [time.time()]
    dependencies = Dependencies(
        context=replace(api.context, clock=lambda: now[0]),
        cas=cas,
        showings={ChallengeKind.HTTP: ShownAtPebble(pebble)},
        fleet=api.fleet,
    )
    runner = RenewalRunner(dependencies, at_once=1)
    async with asyncio.timeout(PATIENCE_S):
        while said not in (await browser.get(path)).text:
            now[0] = min(max(await runner.once(FakeLead()), now[0]), now[0] + POLL_S)


async def test_a_bound_account_is_made_and_a_certificate_is_tried_and_ordered_by_pages_alone(
    tmp_path: Path, workers: Workers, bound_pebble: Pebble
):
    async with pages(tmp_path, workers) as (api, cas, browser):
        await api.add_node("n1")
        root = {"certificates": bound_pebble.root_pem(0)}
        assert (await api.call("POST", "trusted-cas", root))[0] in {200, 201}
        offered = await browser.post(
            "/ca-accounts/new",
            {
                "ca": "other",
                "name": "pebble",
                "contact": "ops@example.com",
                "directory_url": bound_pebble.directory_url,
                "staging_url": f"{bound_pebble.directory_url}?tests",
                "trusted_cas": bound_pebble.trust_pem,
                "binding_id": KEY_ID,
                "binding_key": KEY,
                "renewal": "1",
            },
        )
        assert "shortlived 6 days" in offered.text
        registered = await browser.post("/ca-accounts/1/register", {"terms_agreed": "1", "renewal": "1"})
        assert registered.path == "/renewals/set-up/certificate?account=1"
        fields = {
            "account": "1",
            "certificate": "",
            "names": NAME,
            "challenge": "http-01",
            "key": "ECDSAP256",
        }
        tried = await browser.post("/renewals/set-up/terms", fields | {"node": "n1"})
        await carry_on(api, cas, bound_pebble, browser, tried.path, "The test order succeeded.")
        assert NAME not in (await browser.get("/certificates")).text
        await browser.post(tried.path)
        await carry_on(api, cas, bound_pebble, browser, "/certificates", NAME)
        assert NAME in (await browser.get("/nodes/n1/slots/server")).text
