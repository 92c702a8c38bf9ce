"""What a node's refusal becomes at the manager."""

from pathlib import Path

import pytest

import common.wire.receiver
import manager.domain.facts
from common.ids import NodeName
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import running

N1 = NodeName("n1")


async def test_a_refused_offer_is_an_alarm_with_the_nodes_reason_until_the_node_takes_one(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        node.local.highest = lambda: (1, 99)  # it has seen more than it says
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

        node.local.highest = lambda: (0, 0)
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        assert conditions_of_nodes([parts.fleet.node(N1)]) == []


async def test_a_refused_offer_is_made_again_when_its_rest_is_over_without_a_word_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(manager.domain.facts, "step_s", lambda attempts: 0.2)
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        node.local.highest = lambda: (1, 99)
        parts.dial("n1", node)
        leaf = await parts.assign("n1")
        await parts.until(lambda: parts.state("n1") == "failed")
        node.local.highest = lambda: (0, 0)
        await parts.until_applied(leaf, "n1")


async def test_two_agents_with_one_key_are_an_alarm_once_they_displace_each_other(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        first, copy = NodeSimulator(N1), NodeSimulator(N1)
        for welcomes, agent in ((1, first), (1, copy)):
            parts.dial("n1", agent)
            await parts.until(lambda agent=agent, welcomes=welcomes: agent.welcomes == welcomes)
        assert parts.fleet.node(N1).rivals == (), "a node that was installed anew is no copy"
        parts.dial("n1", first)
        await parts.until(lambda: first.welcomes == 2)
        assert len(parts.fleet.node(N1).rivals) == 2


async def test_a_node_whose_agent_speaks_another_protocol_is_offline_and_its_alarm_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        parts.dial("n1", node)
        await parts.assign("n1")
        await parts.until(lambda: parts.state("n1") == "in_sync")
        node.transport.close()
        await parts.until(lambda: parts.state("n1") == "offline")
        with monkeypatch.context() as patch:
            patch.setattr(common.wire.receiver, "PROTOCOL", 99)
            parts.dial("n1", node)
            await parts.until(lambda: node.disconnects)
        assert node.disconnects[0].reason == "unsupported"
        await parts.until(lambda: parts.fleet.node(N1).turned_away)
        (alarm,) = conditions_of_nodes([parts.fleet.node(N1)])
        assert alarm.subject.kind is AlarmKind.OFFLINE
        assert "speaks a protocol that the manager does not; upgrade the older side" in alarm.details

        parts.dial("n1", node)
        await parts.until(lambda: node.welcomes == 2)
        assert parts.fleet.node(N1).turned_away == ""
