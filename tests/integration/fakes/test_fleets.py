"""The fleet that remembers what it was told, and the real one: the use cases can ask the same of both."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.errors import NotFoundError
from common.ids import NodeName
from manager.store.store import Store
from manager.usecases.ports import Fleet
from tests import pki
from tests.fakes.fleet import FakeFleet
from tests.integration.fleet.parts import running

N1, N2 = NodeName("n1"), NodeName("n2")


@dataclass(frozen=True, slots=True)
class Managed:
    fleet: Fleet
    store: Store

    async def add(self, *names: NodeName) -> None:
        for name in names:
            record = await self.store.nodes.add(name, "node", names=(), addresses=(), now_s=pki.NOW_S)
            self.fleet.node_added(record)


@pytest.fixture(params=["fake", "real"])
async def managed(request: Any, tmp_path: Path) -> AsyncIterator[Managed]:
    async with running(tmp_path) as parts:
        yield Managed(FakeFleet() if request.param == "fake" else parts.fleet, parts.store)


async def note(_number: int, _manifest: object) -> None:
    """Write nothing down."""


async def test_all_nodes_are_planned_and_pushed_in_the_order_of_their_names(managed: Managed):
    await managed.add(N2, N1)
    assert [each.plan.node for each in (await managed.fleet.plan(None)).nodes] == [N1, N2]
    assert [plan.node for plan in await managed.fleet.push(None, forced=False)] == [N1, N2]


async def test_of_the_nodes_that_are_named_only_these_are_pushed(managed: Managed):
    await managed.add(N1, N2)
    assert [plan.node for plan in await managed.fleet.push([N2], forced=True)] == [N2]


async def test_a_node_that_nobody_added_cannot_be_pushed(managed: Managed):
    await managed.add(N1)
    with pytest.raises(NotFoundError):
        await managed.fleet.plan([N1, N2])
    with pytest.raises(NotFoundError):
        await managed.fleet.push([N1, N2], forced=False)
    with pytest.raises(NotFoundError):
        await managed.fleet.republish(N2, 1, note=note)


async def test_a_node_that_was_removed_is_not_there_any_more(managed: Managed):
    await managed.add(N1, N2)
    managed.fleet.node_removed(N1)
    assert [plan.node for plan in await managed.fleet.push(None, forced=False)] == [N2]
    with pytest.raises(NotFoundError):
        await managed.fleet.push([N1], forced=False)


async def test_a_node_that_never_connected_has_no_address(managed: Managed):
    await managed.add(N1)
    assert managed.fleet.address_of(N1) == ""
