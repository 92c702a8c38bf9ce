"""Which of two managers has a node: the newer session wins, and both know."""

from common.ids import NodeName
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts
from tests.postgres import NEEDED

pytestmark = NEEDED

N1 = NodeName("n1")


async def test_a_node_that_is_added_at_one_manager_connects_to_the_other(first: Parts, second: Parts):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1")
    leaf = await first.assign("n1")
    await second.until_applied(leaf, "n1")
    await first.until_applied(leaf, "n1")
    await first.until(lambda: first.state("n1") == second.state("n1") == "in_sync")
    assert first.fleet.address_of(N1) == "in-process"


async def test_the_newer_session_wins_whichever_manager_has_it(first: Parts, second: Parts):
    await first.add("n1")
    old = first.dial("n1")
    await second.until(lambda: second.is_connected("n1"))
    new = second.dial("n1", NodeSimulator(N1))
    await first.until(lambda: bool(old.disconnects))
    assert (old.disconnects[0].reason, old.disconnects[0].retry_after_s) == ("conflict", 30)
    leaf = await first.assign("n1")
    await first.until_applied(leaf, "n1")
    assert new.local.applied().slots["server"].leaf == leaf
    assert old.local.applied() is None or "server" not in old.local.applied().slots


async def test_a_node_whose_connection_ended_is_offline_everywhere(first: Parts, second: Parts):
    await first.add("n1")
    node = first.dial("n1")
    await second.until(lambda: second.is_connected("n1"))
    node.transport.close()
    await second.until(lambda: second.state("n1") == "offline")
    assert first.state("n1") == "offline"


async def test_a_node_that_is_removed_at_one_manager_is_sent_away_by_the_other(first: Parts, second: Parts):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1")
    await second.until(lambda: node.welcomes == 1)
    async with first.store.transaction():
        await first.store.nodes.remove(N1)
        first.store.after_commit(lambda: first.fleet.node_removed(N1))
    await second.until(lambda: bool(node.disconnects) and second.fleet.names() == [])
    # the latter if it was just saying something
    assert node.disconnects[0].reason in {"forbidden", "conflict"}


async def test_a_key_that_is_replaced_at_one_manager_opens_nothing_at_the_other(first: Parts, second: Parts):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    keys = second.fleet.connections._keys
    await second.until(lambda: keys.find("ssh-ed25519 n1") is not None)
    async with first.store.transaction():
        await first.store.nodes.pin(N1, "ssh-ed25519 other", former_key="ssh-ed25519 n1")
        record = await first.store.nodes.get(N1)
        first.store.after_commit(lambda: first.fleet.node_rotated(record))
    await second.until(lambda: keys.find("ssh-ed25519 other") is not None)
    assert keys.find("ssh-ed25519 n1") is None
