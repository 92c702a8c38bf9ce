"""Challenges that one manager places come to the nodes that another one holds."""

import pytest

from common.ids import NodeName
from manager.fleet import challenges as module
from tests.integration.fleet.parts import Parts
from tests.integration.fleet.test_challenges import place, remove, shown, until_kept
from tests.postgres import NEEDED

pytestmark = NEEDED

N1, N2 = NodeName("n1"), NodeName("n2")


async def with_two_nodes(first: Parts, second: Parts) -> None:
    """Let each manager hold one node."""
    await first.add("n1", "n2")
    await second.until(lambda: len(second.fleet.names()) == 2)
    first.dial("n1")
    second.dial("n2")
    await first.until(lambda: first.is_connected("n2"))


async def test_each_manager_sends_to_the_nodes_that_it_holds_and_writes_what_they_say(
    first: Parts, second: Parts
):
    await with_two_nodes(first, second)
    second.nodes["n2"].refuses["a"] = "no room"
    await place(first, {N1: {"a": "a.x"}, N2: {"a": "a.x"}})
    await second.until(lambda: shown(second, "n2") == ["a"])
    await until_kept(first, {("n1", "a"): "", ("n2", "a"): "no room"})
    await remove(first, "a")
    await second.until(lambda: shown(second, "n2") == [])


async def test_what_was_placed_elsewhere_is_found_without_a_notification(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch
):
    await with_two_nodes(first, second)
    for each in (first, second):
        await each.fleet.challenges.turn()
    second.hear_nothing()
    await place(first, {N2: {"a": "a.x"}})
    await second.fleet.challenges.turn()
    await second.until(lambda: shown(second, "n2") == ["a"])
    monkeypatch.setattr(module, "RECONCILE_S", 0.01)
    second.fleet.challenges.wake()
    await place(first, {N2: {"b": "b.x"}})
    await second.until(lambda: shown(second, "n2") == ["a", "b"])


async def test_a_node_that_goes_to_another_manager_is_sent_its_set_there(first: Parts, second: Parts):
    await with_two_nodes(first, second)
    await place(first, {N1: {"a": "a.x"}})
    await first.until(lambda: shown(first, "n1") == ["a"])
    second.dial("n1")
    await second.until(lambda: shown(second, "n1") == ["a"])
