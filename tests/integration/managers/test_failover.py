"""A replica that lacks the primary's last transactions takes over: what two managers have in memory is what it has, and no change is missed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from common.ids import NodeName
from demo.site import free_port
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import Limits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts, running_over
from tests.patience import PATIENCE_S
from tests.postgres import KEK, NEEDED, PASSWORD, ROLE, Cluster, made_cluster, made_root
from tests.unit.store.given import add_nodes

pytestmark = NEEDED

NAME = "failover"
N3, N4 = NodeName("n3"), NodeName("n4")


@dataclass(slots=True, kw_only=True)
class Servers:
    """A primary and its replica, which is not waited for."""

    primary: Cluster
    replica: Cluster

    @property
    def address(self) -> ServerAddress:
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}"
        return ServerAddress.parse(
            f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{hosts}/{NAME}?connect_timeout=2"
        )

    async def cut_off(self) -> None:
        """Let the replica have what was kept until now, and nothing more."""
        written = await asyncio.to_thread(self.primary.sql, "SELECT pg_current_wal_insert_lsn()")
        is_there = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(self.replica.sql, is_there) != "t":  # noqa: ASYNC110 - looks on
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self.replica.stop)
        self.replica.settings["primary_conninfo"] = f"host=127.0.0.1 port={free_port()}"
        await asyncio.to_thread(self.replica.start)

    async def fail_over(self) -> None:
        await asyncio.to_thread(self.primary.kill)
        await asyncio.to_thread(self.replica.promote)


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=20, answer_s=3.0))
    with made_cluster() as primary, made_root() as root:
        primary.make_database(NAME)
        replica = primary.replica(root)
        try:
            yield Servers(primary=primary, replica=replica)
        finally:
            replica.stop()


@pytest.fixture
async def stores(servers: Servers, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """A store, as each of two managers has opened it."""
    place = StorePlace(tmp_path, servers.address)
    made = [await Store.create(place, Keyring(KEK)), await Store.open(place, Keyring(KEK))]
    yield made
    for each in made:
        await each.close()


async def until_writable(store: Store) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await store.check()
            except Exception:  # noqa: BLE001 - whatever a server says that is gone, or not there yet
                await asyncio.sleep(0.1)
            else:
                return


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


@asynccontextmanager
async def fleets(stores: list[Store]) -> AsyncIterator[list[Parts]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_over(each)) for each in stores]


class Agents:
    """Nodes that dial again whenever a manager lets them go, as agents do."""

    def __init__(self, manager: Parts, *nodes: NodeSimulator) -> None:
        self._manager = manager
        self._dialled = {str(node.name): (node, 0) for node in nodes}

    def dial_again(self) -> None:
        for name, (node, ended) in self._dialled.items():
            if len(node.disconnects) > ended:
                self._dialled[name] = node, len(node.disconnects)
                self._manager.dial(name, node)

    async def until(self, *managers: Parts, done: Callable[[Parts], bool]) -> None:
        def is_done(manager: Parts) -> bool:
            self.dial_again()
            return done(manager)

        for each in managers:
            await each.until(partial(is_done, each))


@pytest.mark.timeout(300)
async def test_what_managers_knew_of_lost_changes_is_forgotten_and_both_agree(servers: Servers, stores):
    async with fleets(stores) as (first, second):
        await first.add("n1", "n2")
        await second.until(lambda: second.fleet.registry.find(NodeName("n2")) is not None)
        agents = Agents(second, first.dial("n1"), second.dial("n2"))
        kept = await first.assign("n1", "n2")
        await agents.until(first, second, done=lambda at: at.applied("n1") == at.applied("n2") == kept)
        await first.store.nodes.add(N4, "node", names=(), addresses=(), now_s=1.0)
        await servers.cut_off()

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
