from dataclasses import replace

import pytest

from common.errors import ConflictError, NotFoundError
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.ports import NoFleet
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests.pki import NOW_S
from tests.unit.usecases.conftest import World


async def test_a_push_is_done_and_written_down(world: World):
    for name in ("n1", "n2", "n3"):
        await world.store.nodes.add(name, "node", names=[], addresses=[], now_s=NOW_S)
        world.fleet.nodes.add(name)
    done = await world.use_cases.pushes.push(["n2", "n1"], forced=True, actor="ada")
    assert [plan.node for plan in done] == ["n2", "n1"]
    assert world.fleet.pushed == [(("n2", "n1"), True)]
    await world.use_cases.pushes.push(None, forced=False, actor="ada")
    assert await world.acts() == [("ada", "fleet.pushed", "n2, n1"), ("ada", "fleet.pushed", "all nodes")]


async def test_a_plan_does_nothing(world: World):
    world.fleet.nodes |= {"n1"}
    assert [each.plan.node for each in await world.use_cases.pushes.plan(None, forced=False)] == ["n1"]
    assert (world.fleet.pushed, await world.acts()) == ([], [])


async def test_a_push_to_no_such_node_is_refused_and_not_written_down(world: World):
    with pytest.raises(NotFoundError):
        await world.use_cases.pushes.push(["n9"], forced=False, actor="ada")
    assert await world.acts() == []


async def test_without_a_running_manager_nothing_is_pushed(world: World):
    alone = UseCases(
        replace(world.use_cases._context, fleet=NoFleet()),
        cas=NoCas(),
        wake=wake_nobody,
        challenges=tuple(ChallengeKind),
    ).pushes
    with pytest.raises(ConflictError):
        await alone.push(None, forced=False, actor="console")
