"""A replica that lacks the primary's last transactions takes over: what two managers have in memory is what it has, and no change is missed."""

import pytest

from common.ids import NodeName
from manager.store.store import Store
from tests.integration.managers.failing_over import Agents, Servers, fleets, until_writable
from tests.postgres import NEEDED
from tests.unit.store.given import add_nodes

pytestmark = NEEDED

N3, N4 = NodeName("n3"), NodeName("n4")


@pytest.mark.timeout(300)
async def test_a_change_under_a_number_that_was_seen_with_another_meaning_is_seen(servers: Servers, stores):
    """Each store's view is what a look from its last number tells, as a manager's memory is."""
    first, second = stores
    await add_nodes(first, NodeName("n1"))
    await servers.cut_off()
    await add_nodes(first, NodeName("lost1"))
    views = [await view_of(each) for each in stores]
    assert views[0].names == views[1].names == {"n1", "lost1"}
    await servers.fail_over()
    for each in stores:
        await until_writable(each)
    await add_nodes(first, NodeName("new1"))
    for view in views:
        await view.look()
        assert view.names == {"n1", "new1"}
    await add_nodes(second, NodeName("new2"))
    for view in views:
        await view.look()
        assert view.names == {"n1", "new1", "new2"}
    assert views[0].ids == views[1].ids
    assert len({*views[0].ids, *views[0].lost}) == 4


class View:
    """What is known by looks that each begin where the last ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = 0
        self._nodes: dict[int, str] = {}
        self.lost: set[int] = set()

    @property
    def names(self) -> set[str]:
        return set(self._nodes.values())

    @property
    def ids(self) -> set[int]:
        return set(self._nodes)

    async def look(self) -> None:
        changes = await self._store.feed.since(self._number)
        self._number = changes.number
        self._nodes |= {state.record.id: str(state.record.name) for state in changes.nodes}
        if changes.present is not None:
            self.lost |= self._nodes.keys() - changes.present
            self._nodes = {number: name for number, name in self._nodes.items() if number in changes.present}


async def view_of(store: Store) -> View:
    view = View(store)
    await view.look()
    return view


@pytest.mark.timeout(300)
async def test_what_managers_knew_of_lost_changes_is_forgotten_and_both_agree(servers: Servers, stores):
    async with fleets(stores) as (first, second):
        await first.add("n1", "n2")
        await second.until(lambda: second.fleet.registry.find(NodeName("n2")) is not None)
        agents = Agents(second, first.dial("n1"), second.dial("n2"))
        kept = await first.assign("n1", "n2")
        await agents.until(first, second, done=lambda at: at.applied("n1") == at.applied("n2") == kept)
        await first.store.nodes.add(N4, "node", names=(), addresses=(), now_s=1.0)
        await servers.cut_off(first, second)

        # what is acknowledged now is lost: a certificate, the generation that has it, what the node said of it, a node, and another one's key
        lost = await first.assign("n2")
        await first.add("n3")
        await first.store.nodes.pin(N4, "ssh-ed25519 n4", former_key="")
        await agents.until(
            first,
            second,
            done=lambda at: (
                at.applied("n2") == lost
                and at.fleet.registry.find(N3) is not None
                and at.fleet.connections.key_of(N4) != ""
            ),
        )
        await servers.fail_over()

        await agents.until(
            first,
            second,
            done=lambda at: (
                at.fleet.registry.find(N3) is None
                and at.fleet.registry.find(N4) is not None
                and at.fleet.connections.key_of(N4) == ""
            ),
        )
        # it runs what this store does not know, as after a restore: somebody has to say what is right
        await agents.until(
            first,
            second,
            done=lambda at: (
                (at.desired("n2"), at.state("n2")) == (kept, "conflict")
                and (at.desired("n1"), at.state("n1")) == (kept, "in_sync")
            ),
        )
        await first.fleet.push([NodeName("n2")], forced=True)
        await agents.until(
            first, second, done=lambda at: (at.applied("n2"), at.state("n2")) == (kept, "in_sync")
        )
        new = await second.assign("n1", "n2")
        await agents.until(first, second, done=lambda at: at.applied("n1") == at.applied("n2") == new)
