"""A replica that lacks the last changes takes over while somebody is about to publish: nothing goes over what a node knows and the store lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common.ids import NodeName
from manager.store.store import Store
from tests.integration.fleet.parts import Parts
from tests.integration.managers.failing_over import Agents, Servers, fleets, until_writable
from tests.postgres import NEEDED

pytestmark = [NEEDED, pytest.mark.timeout(300)]

N2 = NodeName("n2")


@pytest.fixture
async def managers(stores: list[Store]) -> AsyncIterator[list[Parts]]:
    async with fleets(stores) as made:
        yield made


async def with_two_nodes(at: Parts) -> tuple[Agents, str]:
    """Let two nodes be there and have a certificate; return them and its fingerprint."""
    await at.add("n1", "n2")
    agents = Agents(at, at.dial("n1"), at.dial("n2"))
    kept = await at.assign("n1", "n2")
    await agents.until(at, done=lambda at: at.applied("n1") == at.applied("n2") == kept)
    return agents, kept


async def lose_one(servers: Servers, agents: Agents, *managers: Parts) -> str:
    """Give n2 a certificate that the replica never hears of; return its fingerprint."""
    await servers.cut_off(*managers)
    lost = await managers[0].assign("n2")
    await agents.until(*managers, done=lambda at: at.applied("n2") == lost)
    return lost


def stands(at: Parts, *, lost: str) -> bool:
    """Whether the node still has what was lost, and somebody has to say what is right."""
    return (at.applied("n2"), at.state("n2")) == (lost, "conflict")


async def test_a_change_of_everything_made_before_the_look_is_not_published_over_it(
    servers: Servers, stores: list[Store], managers: list[Parts], monkeypatch: pytest.MonkeyPatch
):
    first, second = managers
    agents, kept = await with_two_nodes(second)
    lost = await lose_one(servers, agents, first, second)
    may_look = asyncio.Event()
    look = second.store.feed.since

    async def look_late(number: int):
        await may_look.wait()
        return await look(number)

    monkeypatch.setattr(second.store.feed, "since", look_late)
    await servers.fail_over()
    for each in stores:
        await until_writable(each)
    second.fleet.changed(None, cause="the trusted CAs changed")
    await agents.until(first, done=lambda at: at.desired("n2") == kept)
    assert second.applied("n2") == lost
    may_look.set()
    await agents.until(*managers, done=lambda at: stands(at, lost=lost))


async def test_a_batch_that_waited_when_the_primary_died_is_not_published_over_it(
    servers: Servers, managers: list[Parts]
):
    first, second = managers
    agents, kept = await with_two_nodes(second)
    lost = await lose_one(servers, agents, first, second)
    second.fleet.changed(None, cause="waits at the failover")
    await servers.fail_over()
    await agents.until(first, second, done=lambda at: at.desired("n2") == kept and stands(at, lost=lost))


async def test_a_node_that_was_away_has_the_lost_number_given_again_and_takes_what_comes_after(
    servers: Servers, stores: list[Store], managers: list[Parts]
):
    first, second = managers
    agents, kept = await with_two_nodes(second)
    await lose_one(servers, agents, first, second)
    away = agents.leave("n2")
    await first.until(lambda: not first.is_connected("n2"))
    await servers.fail_over()
    for each in stores:
        await until_writable(each)
    await agents.until(first, second, done=lambda at: at.desired("n2") == kept == at.applied("n2"))
    new = await first.assign("n2")
    await agents.until(first, second, done=lambda at: at.desired("n2") == new)
    agents.come_back(away)
    await agents.until(first, second, done=lambda at: at.state("n2") == "conflict")
    await first.fleet.push([N2], forced=True)
    await agents.until(first, second, done=lambda at: (at.applied("n2"), at.state("n2")) == (new, "in_sync"))


async def test_managers_agree_about_it_while_nobody_writes(servers: Servers, managers: list[Parts]):
    first, second = managers
    agents, _ = await with_two_nodes(second)
    lost = await lose_one(servers, agents, first, second)
    await servers.fail_over()
    await agents.until(first, second, done=lambda at: stands(at, lost=lost))
