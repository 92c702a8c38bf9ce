"""Fleet facade: composes its parts, and serves use cases and front ends.

`registry` knows the nodes, `publisher` makes generations, `pushes` and `conversations` deliver them,
`reconcile` decides when, and `membership`, `hold_queue` and `following` share all of it with the store's
other managers. Invariant: an event, the minute's reconcile and a manual push differ only in when they ask the
planner.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from common.bundle.manifest import Manifest
from common.ids import NodeName
from manager.channel.connection import Connection
from manager.channel.keys import KeyRegistry
from manager.domain.brief import NodeBrief
from manager.domain.contact import Contact
from manager.domain.facts import NodeFacts
from manager.domain.members import MemberId
from manager.domain.model import NodeRecord
from manager.domain.planner import QUIET_MAX_S, QUIET_S
from manager.domain.view import NodeView, PlannedPush, Previews
from manager.domain.view_of_facts import view_of
from manager.fleet.announcements import ContactAnnouncer
from manager.fleet.challenges import ChallengeDelivery
from manager.fleet.changes import ChangeQueue
from manager.fleet.cluster_notifier import ClusterNotifier
from manager.fleet.compiler import Compiler
from manager.fleet.connections import Connections
from manager.fleet.conversations import Conversations
from manager.fleet.delivery import Delivery
from manager.fleet.flood_control import FloodControl
from manager.fleet.following import Follower
from manager.fleet.greetings import Greetings
from manager.fleet.hold_queue import HoldQueue
from manager.fleet.leading import Lead
from manager.fleet.manual_pushes import ManualPushes
from manager.fleet.membership import Membership
from manager.fleet.node_sessions import NodeSessions, end_lost_session
from manager.fleet.publisher import Publisher
from manager.fleet.pushes import Pushes
from manager.fleet.reconcile import Reconciler
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter
from manager.fleet.roster import Roster
from manager.fleet.statements import Statements
from manager.fleet.watch import Subscription
from manager.store.store import Store


class Fleet:
    """All nodes. Implements `manager.usecases.ports.Fleet` and `FleetView`.

    `own_node` is this manager's, `epoch` the store's.
    """

    def __init__(
        self, store: Store, compiler: Compiler, keys: KeyRegistry, *, own_node: NodeName, epoch: int
    ) -> None:
        self._store = store
        self._changes = ChangeQueue(clock=store.clock, quiet_s=QUIET_S, quiet_max_s=QUIET_MAX_S)
        self.registry = Registry(store.clock)
        self.connections = Connections(keys)
        self.reports = ReportWriter(
            store.reports, ended=partial(end_lost_session, self.registry, self.connections)
        )
        self.delivery = Delivery(store.generations)
        self.challenges = ChallengeDelivery(store, self.connections)
        self.lead = Lead(store, taken=partial(self.changed, None, cause="this manager leads now"))
        self.membership = Membership(
            store, own_node, lead=self.lead, lost=self._membership_lost, freed=self._read_anew
        )
        self._roster = Roster(self.registry, self.connections, reports=self.reports, changes=self._changes)
        self._hold_queue = HoldQueue(
            store.holds,
            changes_meanwhile=self._roster.changes_meanwhile,
            is_member=lambda: self.membership.id is not None,
            is_reporting=self.reports.has,
            clock=store.clock,
        )
        self._publisher = Publisher(
            store,
            compiler,
            self.registry,
            delivery=self.delivery,
            reports=self.reports,
            lead=self.lead,
            read_anew=self._read_anew,
            epoch=epoch,
        )
        self._notifier = ClusterNotifier(store, self.registry, self.reports, member=self._member)
        self.pushes = Pushes(
            self.registry, self.connections, self._publisher, self.delivery, self._notifier, clock=store.clock
        )
        self.follower = self._make_follower(store)
        self._announcer = ContactAnnouncer(self.registry, self.connections, epoch=epoch, clock=store.clock)
        self.conversations = self._make_conversations(store)
        self.reconciler = Reconciler(
            self.registry,
            changes=self._changes,
            publisher=self._publisher,
            follower=self.follower,
            pushes=self.pushes,
            clock=store.clock,
        )
        self._manual = self._make_manual_pushes(store, own_node)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to keep running while nodes are served, by name."""
        return {
            "membership": self.membership.run,
            "change listener": self.follower.run_listener,
            "following": self.follower.run,
            "sessions": self._hold_queue.run,
            "reports": self.reports.run,
            "cluster notifier": self._notifier.run,
            "delivery": self.delivery.run,
            "challenges": self.challenges.run,
            "changes": self.reconciler.run_changes,
            "reconcile": self.reconciler.run,
            "sweep": self.conversations.run_sweep,
        }

    async def load(self) -> None:
        """Become one of the store's managers, and load its state. Raises StorageError."""
        self.changed(None, cause="start")
        await self.membership.join()
        await self._publisher.load()
        await self.follower.catch_up()

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Note that these nodes' content (None: all) may have changed; it is pushed once things are quiet."""
        self._changes.note(nodes, cause=cause)

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Publish and push now; return what was done for each node, and why.

        Raises NotFoundError, StorageError.
        """
        return await self._manual.push(nodes, forced=forced)

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Return what `push` would do, without doing it. Raises NotFoundError, StorageError."""
        return await self._manual.plan(nodes, forced=forced)

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Publish the content of a node's older generation again, push it now, and return what was done.

        It stays until the node's assigned content changes. `note` as for the compiler. Raises NotFoundError,
        ConflictError, StorageError.
        """
        return await self._manual.republish(name, number, note=note)

    @property
    def contact(self) -> Contact:
        """How nodes reach this manager, as announced to them; empty until it listens."""
        return self._announcer.contact

    def announce(self, contact: Contact) -> None:
        """Announce how to reach this manager, to connected nodes now and to others when they connect."""
        self._announcer.announce(contact)

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""
        return self.registry.names()

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""
        return self.registry.view()

    def node(self, name: NodeName) -> NodeView:
        """Return one node. Raises NotFoundError."""
        return view_of(self.registry.get(name), self._store.clock())

    async def find_node(self, name: NodeName) -> NodeView:
        """Return one node, including one just added by another manager.

        Raises NotFoundError, StorageError.
        """
        if self.registry.find(name) is None:
            await self.follower.catch_up_with_others()
        return self.node(name)

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""
        return self.registry.counts()

    def briefs(self) -> Mapping[NodeName, NodeBrief]:
        """Return a summary of each node as of now."""
        return self.registry.briefs()

    @property
    def count_of_changes(self) -> int:
        """How many node changes there were in this run."""
        return self.registry.count_of_changes

    def diagnostics(self, name: NodeName) -> str:
        """Return the diagnostics of a node's last failed installation, "" for none. Raises NotFoundError."""
        return self.registry.get(name).diagnostics

    def address_of(self, name: NodeName) -> str:
        """Return where a node last connected from, or ""."""
        return facts.address if (facts := self.registry.find(name)) is not None else ""

    def is_connected(self, name: NodeName) -> bool:
        """Whether a node is connected; for a management node, whether its manager serves."""
        return (facts := self.registry.find(name)) is not None and facts.connected_s is not None

    def addresses(self) -> Mapping[NodeName, str]:
        """Return where each node last connected from, or ""."""
        return self.registry.addresses()

    def subscribe(self, since: str | None = None) -> AbstractContextManager[Subscription]:
        """Lend a subscription to changed nodes, starting at a mark if one is given."""
        return self.registry.subscribe(since)

    def node_added(self, record: NodeRecord) -> None:
        """Take a new node into the fleet."""
        self._roster.add(record)

    def node_joined(self, record: NodeRecord) -> None:
        """Take the key a node joined with, and end every connection of its former key.

        Any state from the node's earlier life is ignored.
        """
        self._roster.join(record)

    def node_rotated(self, record: NodeRecord) -> None:
        """Take the key that replaces a node's former one, and end every connection of that."""
        self._roster.rotate(record)

    def node_removed(self, name: NodeName) -> None:
        """Forget a node and its key, and end all its connections."""
        self._roster.remove(name)

    def host_key_changed(self) -> None:
        """Send all nodes back, so that each is shown the new host key.

        An agent accepts only a list of host keys that includes the key it was shown.
        """
        self.connections.reconnect_all()

    async def close(self) -> None:
        """Say goodbye to all, keep the reports, and leave the nodes to other managers.

        Raises StorageError.
        """
        self.connections.reconnect_all()
        await self.reports.flush()
        await self.membership.leave()

    # -- inside

    def _make_follower(self, store: Store) -> Follower:
        follower = Follower(
            store,
            self.registry,
            self.connections,
            roster=self._roster,
            hold_queue=self._hold_queue,
            pushes=self.pushes,
            changes=self._changes,
            member=self._member,
        )
        follower.challenge_observers.append(self.challenges.wake)
        return follower

    def _make_conversations(self, store: Store) -> Conversations:
        floods = FloodControl(self.registry, self.connections, self._notifier)
        statements = Statements(
            self.registry,
            pushes=self.pushes,
            reports=self.reports,
            challenges=self.challenges,
            announcer=self._announcer,
            clock=store.clock,
        )
        sessions = NodeSessions(
            self.registry,
            self.connections,
            hold_queue=self._hold_queue,
            reports=self.reports,
            notifier=self._notifier,
            announcer=self._announcer,
            started=self._session_started,
            clock=store.clock,
        )
        greetings = Greetings(
            self.registry,
            self.connections,
            floods=floods,
            hold_queue=self._hold_queue,
            follower=self.follower,
            sessions=sessions,
            clock=store.clock,
        )
        return Conversations(
            self.connections,
            greetings=greetings,
            sessions=sessions,
            statements=statements,
            pushes=self.pushes,
            floods=floods,
        )

    def _make_manual_pushes(self, store: Store, own_node: NodeName) -> ManualPushes:
        return ManualPushes(
            store,
            self.registry,
            publisher=self._publisher,
            pushes=self.pushes,
            follower=self.follower,
            own_node=own_node,
        )

    def _session_started(self, connection: Connection, facts: NodeFacts, *, was_elsewhere: bool) -> None:
        """Bring a welcomed node up to date."""
        if facts.awaiting_first_report:
            # it may report higher numbers than ours; publishing goes above them
            self.changed([facts.name], cause="node joined")
        self.challenges.send_on_welcome(connection)
        self.pushes.pursue(facts)
        if was_elsewhere or not self.lead.is_ours:
            # its former publisher may have missed the last change
            self.changed([facts.name], cause="connected to another manager")

    def _member(self) -> MemberId | None:
        return self.membership.id

    async def _read_anew(self) -> None:
        await self.follower.catch_up()

    def _membership_lost(self) -> None:
        """End every connection: the nodes go to managers that can write to the store."""
        for facts in self.registry:
            facts.session = 0
        self.connections.reconnect_all_elsewhere()
