"""The fleet's status is counted once for all who watch it."""

from common.ids import NodeName
from manager.domain.brief import brief_of
from manager.domain.facts import NodeFacts
from manager.web.current_status import PACE_S, CurrentFleetStatus


class Fleet:
    """A fleet of one node that changes when told."""

    count_of_changes = 0

    def counts(self):
        return {"in_sync": self.count_of_changes}

    def briefs(self):
        facts = NodeFacts(name=NodeName("n1"), kind="node", joined=True)
        return {facts.name: brief_of(facts)}


async def test_a_hundred_watchers_of_one_change_cost_one_count():
    fleet, status = Fleet(), CurrentFleetStatus()
    for change in range(3):
        fleet.count_of_changes = change
        found = [await status.current(fleet, now_s=change * PACE_S) for _ in range(100)]
        assert {each.tiles[0].count for each in found} == {change}
        assert status.counted == change + 1


async def test_what_was_counted_is_counted_again_when_nodes_changed_or_time_passed():
    fleet, status = Fleet(), CurrentFleetStatus()
    await status.current(fleet, now_s=10.0)
    fleet.count_of_changes = 1
    assert (await status.current(fleet, now_s=10.0)).tiles[0].count == 1
    await status.current(fleet, now_s=10.0 + PACE_S)
    # a clock that was set back makes nothing fresh
    await status.current(fleet, now_s=5.0)
    assert status.counted == 4
