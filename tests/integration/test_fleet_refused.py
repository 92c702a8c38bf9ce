"""What a node's refusal becomes at the manager."""

from pathlib import Path

from common.ids import NodeName
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet_parts import running

N1 = NodeName("n1")


async def test_a_refused_offer_is_an_alarm_with_the_nodes_reason_until_the_node_takes_one(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        node.holdings.highest = lambda: (1, 99)  # it has seen more than it says
        parts.dial("n1", node)
        await parts.assign("n1")
        await parts.until(lambda: parts.state("n1") == "failed")
        failed = parts.fleet.node(N1).last_failed
        assert (failed.result, failed.reason) == ("rejected", "stale_generation")
        (alarm,) = conditions_of_nodes([parts.fleet.node(N1)])
        assert alarm.subject.kind is AlarmKind.INSTALL_FAILED
        assert "stale_generation" in alarm.details
        assert "generation 99" in alarm.details
        assert parts.applied("n1") is None

        node.holdings.highest = lambda: (0, 0)
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        assert conditions_of_nodes([parts.fleet.node(N1)]) == []
