"""A real fleet over a real store, with simulated nodes on pipes in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from common.ids import MANAGEMENT_NODE, NodeName
from common.pki.certificate import decode
from common.runtime.supervise import Supervisor
from manager.channel.keys import KeyRegistry
from manager.channel.pipe import pipe
from manager.domain.view import NodeView, SlotView
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.pki.read.upload import read_tls
from manager.store.inventory import Inventories
from manager.store.place import StorePlace
from manager.store.sealing import load_keyring
from manager.store.store import Store
from manager.usecases.kept import new_certificate
from tests import pki
from tests.fakes.simulator import NodeSimulator
from tests.patience import PATIENCE_S
from tests.store_template import EMPTY

ANCHOR = pki.make_root("Anchor")
ROOT, ISSUER = pki.current_ca("Fleet")


class Parts:
    """The fleet, its store, and the nodes that have dialled."""

    def __init__(self, store: Store, inventories: Inventories, fleet: Fleet, supervisor: Supervisor) -> None:
        self.store = store
        self.inventories = inventories
        self.fleet = fleet
        self._supervisor = supervisor
        self.is_killed = False
        self.nodes: dict[str, NodeSimulator] = {}

    def stand_still(self) -> None:
        """End every loop, as if this process had no turn any more; its connections stay."""
        self._supervisor.stop()

    def hear_nothing(self) -> None:
        """Lose every notification from now on."""
        notified = self.store.change_listener._notified
        notified.clear()
        notified.set = lambda: None

    def go_on(self) -> None:
        """Let every loop run again, with what is in memory."""
        for name, loop in self.fleet.loops().items():
            self._supervisor.keep(name, loop)

    def kill(self) -> None:
        """End every loop, and every connection without a word."""
        self.is_killed = True
        self.stand_still()
        for connection in self.fleet.connections.all():
            connection._transport.close()

    async def add(self, *names: str) -> None:
        """Add nodes that have joined."""
        for name in names:
            record = await self.store.nodes.add(
                NodeName(name), "node", names=(), addresses=(), now_s=time.time()
            )
            self.fleet.node_added(record)
            await self.store.nodes.pin(NodeName(name), f"ssh-ed25519 {name}", former_key="")

    def dial(self, name: str, node: NodeSimulator | None = None) -> NodeSimulator:
        """Connect a node, the one given or a new one."""
        node = node or NodeSimulator(NodeName(name))
        near, far = pipe(asyncio.get_running_loop())
        far.attach(self.fleet.conversations.attach(NodeName(name), far))
        near.attach(node)
        node.greet(near)
        self.nodes[name] = node
        return node

    async def assign(self, *names: str, chain: bool = True) -> str:
        """Keep a new certificate, assign it, and tell the fleet; return its fingerprint."""
        made = pki.current_leaf(ISSUER, ["conf.example.test"])
        text = made.certificate_pem + (ISSUER.certificate_pem if chain else "")
        material = read_tls(certificate=text, private_key=made.key_pem)
        record, _ = await self.store.certificates.add(new_certificate(material), now_s=time.time())
        await self.store.assignments.assign(record.id, [NodeName(name) for name in names], "server")
        self.fleet.changed([NodeName(name) for name in names], cause="test")
        return record.fingerprint

    async def until(self, done: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(within_s):
                while not done():  # noqa: ASYNC110 - looks on, as an operator would
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s; the nodes: {self.fleet.view()}") from None

    async def until_kept(self) -> None:
        """Wait until the store has what nodes have said here."""
        await self.until(lambda: not any(map(self.fleet.reports.has, self.fleet.names())))

    async def until_applied(self, leaf: str, *names: str) -> None:
        await self.until(lambda: all(self.applied(name) == leaf for name in names))

    def applied(self, name: str) -> str | None:
        """Return what a node has; None of one that is not known here yet."""
        slot = self._slot(name)
        return slot.applied if slot is not None else None

    def is_connected(self, name: str) -> bool:
        """Whether this manager knows the node, and that some manager has it."""
        facts = self.fleet.registry.find(NodeName(name))
        return facts is not None and facts.connected_s is not None

    def desired(self, name: str) -> str | None:
        facts = self.fleet.registry.find(NodeName(name))
        desired = facts.desired if facts is not None else None
        return (
            desired.manifest.slots["server"].leaf if desired and "server" in desired.manifest.slots else None
        )

    def offered(self, name: str) -> str | None:
        slot = self._slot(name)
        return slot.offered if slot is not None else None

    def state(self, name: str) -> str | None:
        """Return the word for a node; None for one that is not known here yet."""
        node = self._find(name)
        return node.state if node is not None else None

    def _slot(self, name: str) -> SlotView | None:
        node = self._find(name)
        return node.slots.get("server") if node is not None else None

    def _find(self, name: str) -> NodeView | None:
        return (
            self.fleet.node(NodeName(name)) if self.fleet.registry.find(NodeName(name)) is not None else None
        )


@asynccontextmanager
async def running(directory: Path, *, epoch: int = 1) -> AsyncIterator[Parts]:
    """Run a fleet over the store in a directory, which is made at the first call."""
    if not (directory / "kek").exists():
        store = await EMPTY.copy(directory)
    else:
        store = await Store.open(StorePlace(directory, None), load_keyring(directory))
    try:
        async with running_over(store, epoch=epoch) as parts:
            yield parts
    finally:
        await store.close()


@asynccontextmanager
async def running_over(store: Store, *, epoch: int = 1) -> AsyncIterator[Parts]:
    """Run a fleet over a store, as one of those that are run over it."""
    inventories = Inventories(store, [decode(ANCHOR.certificate_der)])
    fleet = Fleet(store, Compiler(store, inventories), KeyRegistry({}), own_node=MANAGEMENT_NODE, epoch=epoch)
    await fleet.load()
    async with Supervisor() as supervisor:
        for name, loop in fleet.loops().items():
            supervisor.keep(name, loop)
        parts = Parts(store, inventories, fleet, supervisor)
        yield parts
        if not parts.is_killed:
            await fleet.close()
