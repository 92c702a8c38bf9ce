"""A node without a disk, and an agent with all its loops: a manager has the same conversation with both."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.wire.messages import Accepted, Hello, Outcome
from common.wire.offers import LocalState
from manager.channel.pipe import pipe
from tests import pki
from tests.fakes.simulator import NodeSimulator
from tests.integration.agent_parts import NODE, ROOT, consumer, real_bundle, script, services
from tests.integration.conversation_parts import Manager, agent

FIRST = real_bundle(pki.make_leaf(ROOT, ["first.example.com"]), 1)
NEXT = real_bundle(pki.make_leaf(ROOT, ["next.example.com"]), 2)


@dataclass(frozen=True, slots=True)
class Met:
    manager: Manager
    local: LocalState

    async def outcomes(self, count: int) -> list[Outcome]:
        await self.manager.until(lambda: len(self.manager.said(Outcome)) == count)
        return self.manager.said(Outcome)


@pytest.fixture(params=["simulated", "real"])
async def met(request: Any, tmp_path: Path) -> AsyncIterator[Met]:
    manager = Manager()
    if request.param == "simulated":
        node = NodeSimulator(NODE)
        near, far = pipe(asyncio.get_running_loop())
        far.attach(manager.accept(far))
        near.attach(node)
        node.greet(near)
        await manager.until(lambda: node.welcomes == 1)
        yield Met(manager, node.local)
        return
    reload = script(tmp_path / "reload", "exit 0")
    async with agent(tmp_path / "data", services(consumer(reload)), manager.dial) as running:
        await manager.until(lambda: running.conversation.status.welcomed)
        yield Met(manager, running.state.local)


async def test_it_greets_with_its_name_and_what_it_has(met: Met):
    (hello,) = met.manager.said(Hello)
    assert (hello.node, hello.report.applied) == (NODE, None)


async def test_an_offer_is_accepted_installed_and_reported(met: Met):
    met.manager.offer(FIRST, "a")
    (outcome,) = await met.outcomes(1)
    assert [said.push_id for said in met.manager.said(Accepted)] == ["a"]
    assert (outcome.push_id, outcome.result, outcome.phase) == ("a", "applied", "commit")
    assert outcome.report.applied is not None
    assert outcome.report.applied.digest == outcome.digest == FIRST.manifest.digest


async def test_an_outcome_that_was_acknowledged_is_forgotten(met: Met):
    met.manager.offer(FIRST, "a")
    await met.outcomes(1)
    await met.manager.until(lambda: met.local.unacknowledged_outcome(pki.NOW_S) is None)


async def test_an_outcome_that_was_not_acknowledged_is_kept(met: Met):
    met.manager.acknowledges = False
    met.manager.offer(FIRST, "a")
    (outcome,) = await met.outcomes(1)
    kept = met.local.unacknowledged_outcome(pki.NOW_S)
    assert kept is not None
    assert kept.push_id == outcome.push_id


async def test_the_next_generation_follows_on_the_same_connection(met: Met):
    met.manager.offer(FIRST, "a")
    await met.outcomes(1)
    met.manager.offer(NEXT, "b")
    assert [outcome.push_id for outcome in await met.outcomes(2)] == ["a", "b"]
    applied = met.local.applied()
    assert applied is not None
    assert applied.version == NEXT.manifest.version
