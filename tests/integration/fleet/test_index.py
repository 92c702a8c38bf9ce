"""What is kept of each node for lists is what the node is, whatever its conversation did."""

import pytest

from common.ids import NodeName
from manager.domain.brief import brief_of
from tests.browser.showroom import Showroom, showroom


def check(room: Showroom) -> None:
    fleet = room.api.fleet
    wanted = {facts.name: brief_of(facts) for facts in fleet.registry}
    assert fleet.briefs() == wanted
    states = [brief.state for brief in wanted.values()]
    assert fleet.counts() == {state: states.count(state) for state in states}
    assert fleet.names() == sorted(wanted)


@pytest.mark.timeout(120)
async def test_lists_know_every_node_as_it_is_after_pushes_failures_and_farewells(tmp_path):
    async with showroom(tmp_path) as room:
        check(room)
        assert len(room.api.fleet.counts()) >= 4
        fleet, store = room.api.fleet, room.api.context.store
        # read between the steps, so that nothing is made anew but what was noted
        for act in (
            room.simulators["berlin-1"].tick,
            room.simulators["berlin-2"].transport.close,
            lambda: room.dial("berlin-2"),
            lambda: room.dial("bergen-1"),
            lambda: fleet.node_removed(NodeName("oslo-1")),
        ):
            act()
            check(room)
        fleet.node_joined(await store.nodes.get(NodeName("madrid-1")))
        check(room)
        await fleet.push(None, forced=True)
        check(room)
