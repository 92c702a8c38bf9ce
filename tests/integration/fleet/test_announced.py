"""What a manager announces of its addresses, which nodes have confirmed it, and what a restart remembers of that."""

from pathlib import Path

from common.ids import NodeName
from common.wire.contact import Contact as Known
from manager.domain.contact import Contact
from manager.domain.informed import find_uninformed
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts, running

FIRST = Contact(addresses=("m1.example:9422",))
NEXT = Contact(addresses=("m1.example:9422", "m2.example:9422"))


def node(name: str, *addresses: str) -> NodeSimulator:
    made = NodeSimulator(NodeName(name))
    made.local.known = Known(addresses=list(addresses)) if addresses else None
    return made


async def add_joined(parts: Parts, *names: str) -> None:
    await parts.add(*names)
    for name in names:
        parts.fleet.registry.get(NodeName(name)).joined = True


def uninformed(parts: Parts) -> list[str]:
    return find_uninformed(parts.fleet.view(), parts.fleet.contact)


async def test_connected_nodes_are_told_and_others_when_they_connect(tmp_path: Path):
    async with running(tmp_path) as parts:
        await add_joined(parts, "n1", "n2", "old")
        parts.fleet.announce(FIRST)
        parts.dial("n1", node("n1", "m1.example:9422"))
        parts.dial("old", node("old"))
        await parts.until(lambda: uninformed(parts) == ["n2", "old"])
        parts.fleet.announce(NEXT)
        await parts.until(lambda: uninformed(parts) == ["n2", "old"])
        assert parts.fleet.node(NodeName("n1")).manager_addresses == NEXT.addresses
        parts.dial("n2", node("n2", "m1.example:9422"))
        await parts.until(lambda: uninformed(parts) == ["old"])
        assert parts.fleet.node(NodeName("old")).manager_addresses is None
        assert parts.nodes["old"].local.known is None


async def test_who_has_confirmed_is_remembered_over_a_restart(tmp_path: Path):
    async with running(tmp_path) as parts:
        await add_joined(parts, "n1", "n2")
        parts.fleet.announce(NEXT)
        parts.dial("n1", node("n1", "m1.example:9422"))
        await parts.until(lambda: uninformed(parts) == ["n2"])
    async with running(tmp_path) as parts:
        parts.fleet.announce(NEXT)
        assert uninformed(parts) == ["n2"]


async def test_an_agent_that_was_put_back_to_an_earlier_release_counts_as_one_that_does_not_know(
    tmp_path: Path,
):
    async with running(tmp_path) as parts:
        await add_joined(parts, "n1")
        parts.fleet.announce(NEXT)
        parts.dial("n1", node("n1", "m1.example:9422"))
        await parts.until(lambda: uninformed(parts) == [])
        parts.dial("n1", node("n1"))
        await parts.until(lambda: uninformed(parts) == ["n1"])
    async with running(tmp_path) as parts:
        assert parts.fleet.node(NodeName("n1")).manager_addresses is None


async def test_nothing_is_announced_before_it_is_known(tmp_path: Path):
    async with running(tmp_path) as parts:
        await add_joined(parts, "n1")
        parts.dial("n1", node("n1", "m9.example:9422"))
        await parts.until(lambda: parts.state("n1") != "offline")
        parts.nodes["n1"].tick()
        assert parts.nodes["n1"].local.known == Known(addresses=["m9.example:9422"])
        assert uninformed(parts) == []
