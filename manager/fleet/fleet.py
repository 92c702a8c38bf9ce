"""All nodes: their facts in memory, the changes that concern them, and the pushes that follow.

Owns the facts and the connections. `manager.domain.planner` decides each push; an event, the minute's reconcile and a
manual push differ only in when they ask it. Invariant: nothing advances on send; one lock orders publishing, so a
node's generations rise in the order in which they are made.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, assert_never

import structlog

from common.bundle.manifest import Manifest, parse_manifest
from common.errors import Hint, NotFoundError, Reason, StorageError
from common.ids import Digest, NodeName
from common.runtime.transport import Transport
from common.wire.messages import Accepted, Hello, Outcome, Progress, Rejected, Tick, Welcome
from common.wire.sender import Push
from manager.channel.connection import Connection
from manager.channel.directory import Directory, PinnedKey
from manager.channel.floods import Floods
from manager.domain.facts import NodeFacts, desired_from
from manager.domain.model import NodeRecord
from manager.domain.planner import QUIET_MAX_S, QUIET_S, plan_push, preview_push
from manager.domain.view import NodeView, PlannedPush, Previews, PushView
from manager.fleet.compiler import YIELD_EVERY, Compiler
from manager.fleet.delivery import Delivery
from manager.fleet.dirty import Dirty
from manager.fleet.reports import ReportWriter
from manager.fleet.watch import Subscription, Watchers
from manager.store.store import Store

log = structlog.get_logger(__name__)

RECONCILE_S: Final = 60.0
"""The pass that repairs what an event missed (design: synchronised within a minute); jittered by a tenth."""

SWEEP_S: Final = 1.0
"""How often the connections' deadlines are looked at."""

REPLACED_RETRY_S: Final = 30.0
"""How long an agent whose connection was replaced stays away; two machines with one key then do not fight."""

GOODBYE_RETRY_S: Final = 2.0
"""When the manager stops, or the agent's key was replaced, agents try again about this soon, each with its own jitter."""


class Fleet:
    """The manager's end of all conversations. Implements `manager.channel.connection.Listener`."""

    def __init__(self, store: Store, compiler: Compiler, directory: Directory, *, epoch: int) -> None:
        self._store = store
        self._compiler = compiler
        self._directory = directory
        directory.watchers.append(self._key_revoked)
        self._epoch = epoch
        self._facts: dict[NodeName, NodeFacts] = {}
        self._connections: dict[NodeName, Connection] = {}
        self._greeting: set[Connection] = set()
        self._floods = Floods()
        self._publishing = asyncio.Lock()
        self._dirty = Dirty(quiet_s=QUIET_S, quiet_max_s=QUIET_MAX_S)
        self._reconciled_s = time.monotonic()
        self._reconciled_revision = -1
        self._confirmed_anchors: int | None = None
        self._watchers = Watchers()
        self._retries: dict[NodeName, float] = {}
        self.reports = ReportWriter(store.reports)
        self.delivery = Delivery(store.generations)
        self.observers: list[Callable[[NodeName, PushView], None]] = []

    async def load(self) -> None:
        """Take what the store knows. Raises StorageError."""
        self._confirmed_anchors = await self._store.trusted_cas.confirmed_anchors()
        latest, reports = await self._store.generations.latest(), await self._store.reports.all()
        for record in await self._store.nodes.list():
            facts = self._add(record)
            if (generation := latest.get(record.name)) is not None:
                facts.desired = desired_from(
                    parse_manifest(generation.manifest), generation.created_s, generation.instead_of
                )
            if (report := reports.get(record.name)) is not None:
                facts.restore(report)
        self._dirty.mark(None, cause="start", now_s=time.monotonic(), changed_s=time.time())

    # -- what operations call

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Note that what these nodes (None: all) must hold may have changed; it is pushed when things are quiet."""
        self._dirty.mark(nodes, cause=cause, now_s=time.monotonic(), changed_s=time.time())

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Publish and push at once; say of each node what was done and why. Raises NotFoundError, StorageError."""
        chosen = self._choose(nodes)
        published = await self._publish(chosen, cause="manual push", changed_s=time.time(), forced=forced)
        plans = [self._pursue(facts, forced=forced) for facts in chosen]
        return [
            replace(plan, action="publish_and_push")
            if plan.node in published and plan.action == "push"
            else plan
            for plan in plans
        ]

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Say what `push` would do, and do nothing. Raises NotFoundError, StorageError."""
        chosen, now_s = self._choose(nodes), time.time()
        async with self._publishing:
            news, bodies = await self._compiler.preview(
                self._publishable(chosen, forced=forced), epoch=self._epoch, now_s=now_s
            )
        previews = []
        for count, facts in enumerate(chosen):
            if count % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            previews.append(preview_push(facts, news.get(facts.name), now_s=now_s, forced=forced))
        return Previews(nodes=previews, bodies=bodies)

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Publish the content of a node's older generation once more, push it at once, and say what was done.

        It stays until what the store wants of the node changes. `note` as for the compiler's. Raises NotFoundError, ConflictError, StorageError.
        """
        facts = self._known(name)
        async with self._publishing:
            facts.desired = await self._compiler.republish(
                facts, number, epoch=self._epoch, now_s=time.time(), note=note
            )
        log.info(
            "generation.published", node=name, generation=facts.desired.version.generation, cause="republish"
        )
        self._watchers.note(name)
        plan = self._pursue(facts)
        return replace(
            plan,
            generation=facts.desired.version.generation,
            action="publish_and_push" if plan.action == "push" else plan.action,
        )

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""
        return sorted(self._facts)

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""
        now_s = time.time()
        return [self._facts[name].view(now_s) for name in self.names()]

    def node(self, name: NodeName) -> NodeView:
        """Return one node. Raises NotFoundError."""
        return self._known(name).view(time.time())

    def diagnostics(self, name: NodeName) -> str:
        """Return what was seen on a node when its last installation failed, "" for nothing. Raises NotFoundError."""
        return self._known(name).diagnostics

    def subscribe(self, since: str | None = None) -> AbstractContextManager[Subscription]:
        """Lend a subscription to the nodes that change, from a mark on if one is given."""
        return self._watchers.subscribe(
            lambda name: facts.view(time.time()) if (facts := self._facts.get(name)) else None,
            names=self.names(),
            since=since,
        )

    def node_added(self, record: NodeRecord) -> None:
        """Take a new node into the fleet."""
        self._add(record)
        self.changed([record.name], cause="node added")
        self._watchers.note(record.name)

    def node_joined(self, record: NodeRecord) -> None:
        """Take the key with which a node joined, and end every connection of the one that it had.

        What the node brings from an earlier life does not count.
        """
        facts = self._known(record.name)
        facts.joined = facts.adopting = True
        self._take_key(facts, record)

    def node_rotated(self, record: NodeRecord) -> None:
        """Take the key by which a node replaced its own, and end every connection of the former one."""
        self._take_key(self._known(record.name), record)

    def address_of(self, name: NodeName) -> str:
        """Return where a node was last connected from, "" if it was not."""
        return facts.address if (facts := self._facts.get(name)) is not None else ""

    def node_removed(self, name: NodeName) -> None:
        """Forget a node and its key, and end every connection of it."""
        self._facts.pop(name, None)
        self._floods.forget(name)
        self.reports.forget(name)
        self._directory.forget(name)
        self._end_all(name, Reason.FORBIDDEN, REPLACED_RETRY_S)
        self._watchers.note(name)

    def reconcile_age_s(self) -> float:
        """Return the seconds since a reconcile last ended well."""
        return time.monotonic() - self._reconciled_s

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""
        return Counter(facts.state() for facts in self._facts.values())

    # -- loops, kept by the composition root

    async def run_changes(self) -> None:
        """Publish and push what changed, each time that things are quiet."""
        while True:
            batch = await self._dirty.take()
            chosen = [self._facts[name] for name in batch.names if name in self._facts]
            chosen = list(self._facts.values()) if batch.everything else chosen
            try:
                await self._publish(chosen, cause=batch.cause, changed_s=batch.changed_s)
            except StorageError as error:
                log.error("store.failed", reason=error.reason, message=error.message)
                self._dirty.restore(batch)
                await asyncio.sleep(SWEEP_S)
                continue
            for facts in chosen:
                self._pursue(facts)

    async def run_reconcile(self) -> None:
        """Each minute, compare every node with what is desired, and repair."""
        while True:
            await asyncio.sleep(RECONCILE_S * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, not a secret
            await self.reconcile()

    async def reconcile(self) -> None:
        """Do one pass: digests only, unless content has changed since the last one.

        A store that fails leaves the pass undone, which health shows.
        """
        started = time.monotonic()
        try:
            revision = await self._store.meta.revision()
            # a chain may become another by time alone: an intermediate expires, a cross-signed one begins
            if revision != self._reconciled_revision or time.time() >= self._compiler.stands_until_s:
                await self._publish(list(self._facts.values()), cause="reconcile", changed_s=time.time())
                self._reconciled_revision = revision
        except StorageError as error:
            log.error("reconcile.failed", reason=error.reason, message=error.message)
            return
        plans = [self._pursue(facts) for facts in list(self._facts.values())]
        self._reconciled_s = time.monotonic()
        log.debug(
            "reconcile.done",
            count=sum(plan.action == "push" for plan in plans),
            duration_ms=round((self._reconciled_s - started) * 1000),
        )

    async def run_sweep(self) -> None:
        """Each second, end what is overdue, and offer again what has rested long enough."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            for connection in [*self._connections.values(), *self._greeting]:
                connection.sweep(now_s)
            self._retry()
            for name in self._floods.calm(self._facts, now_s):
                self._watchers.note(name)

    async def close(self) -> None:
        """Say goodbye to all and keep what was reported."""
        for connection in [*self._connections.values(), *self._greeting]:
            connection.goodbye(Reason.BUSY, GOODBYE_RETRY_S)
        await self.reports.flush()

    # -- what connections call

    def admit(self, key: PinnedKey, address: str) -> bool:
        """Tell whether a node that has logged in may stay: not one that connects all the time."""
        facts = self._facts.get(key.node)
        if facts is None:
            return False
        if self._floods.allowance_of(facts.name).connect(time.monotonic()):
            return True
        if not self._floods.rest_s(facts.name):
            self._floods.note(facts, address, "connections")
            self._watchers.note(facts.name)
        return False

    def accept(self, key: PinnedKey, transport: Transport) -> Connection:
        """Take a new transport whose peer has proven this key; the node counts as connected once it has greeted."""
        return self._greet(key.node, transport, lambda: self._directory.is_current(key))

    def attach(self, node: NodeName, transport: Transport) -> Connection:
        """Take a transport within this process, whose other end nobody else can hold."""
        return self._greet(node, transport, lambda: True)

    def flooded(self, connection: Connection, what: str) -> None:
        """Send away a node that says more than an agent has to say."""
        rest_s = REPLACED_RETRY_S
        if (facts := self._facts.get(connection.node)) is not None:
            rest_s = self._floods.note(facts, connection.address, what)
            self._watchers.note(facts.name)
        connection.goodbye(Reason.BUSY, rest_s)

    def greeted(self, connection: Connection, hello: Hello) -> None:
        """Take an introduction. The newer of two connections of a node wins."""
        self._greeting.discard(connection)
        facts = self._facts.get(connection.node)
        if facts is None or hello.node != connection.node:
            text = f"this manager has no node '{hello.node}' with this key; join again with a new token"
            connection.welcome(Welcome(verdict="re_enrol", retry_after_s=300, message=text[:512]))
            return
        if (rest_s := self._floods.rest_s(facts.name)) > 0:
            text = "this node has sent too much lately; the manager's log says what"
            connection.welcome(Welcome(verdict="wait", retry_after_s=rest_s, message=text))
            return
        if (older := self._connections.pop(facts.name, None)) is not None:
            log.info("node.replaced", node=facts.name, address=older.address)
            older.goodbye(Reason.CONFLICT, REPLACED_RETRY_S)
        now_s = time.time()
        self._connections[facts.name] = connection
        facts.joined = True
        has_moved = facts.address != connection.address
        facts.connect(address=connection.address, agent_version=hello.agent_version, now_s=now_s)
        facts.seats.note(
            hello.instance or hello.boot_id, connection.address, now_s, displaces=older is not None
        )
        if facts.hear(hello.report, now_s) or has_moved:
            self.reports.put(facts.record(now_s))
        log.info("node.connected", node=facts.name, address=connection.address, version=hello.agent_version)
        connection.welcome(Welcome(verdict="ok", server_time_s=now_s, epoch=self._epoch))
        if facts.adopting:
            # what it brings may have higher numbers than ours; publishing goes above them
            self.changed([facts.name], cause="node joined")
        self._pursue(facts)
        self._watchers.note(facts.name)

    def heard(self, connection: Connection, message: Accepted | Rejected | Progress | Outcome | Tick) -> None:
        """Take a word of a node."""
        facts = self._facts.get(connection.node)
        if facts is None:
            return
        now_s = time.time()
        match message:
            case Tick():
                if facts.hear(message.report, now_s):
                    self.reports.put(facts.record(now_s))
                connection.tock(server_time_s=now_s, epoch=self._epoch)
                self._pursue(facts)
            case Progress():
                facts.progress(message)
            case Accepted():
                pass
            case Rejected():
                if facts.conclude(message, now_s):
                    self.reports.put(facts.record(now_s))
                self._conclude(facts, message)
            case Outcome():
                facts.conclude(message, now_s)
                # acknowledged only once it is on disk: until then the node keeps it
                self.reports.put(facts.record(now_s), lambda: connection.acknowledge(message.push_id))
                self._conclude(facts, message)
            case _:
                assert_never(message)
        self._watchers.note(facts.name)

    def wanted(self, connection: Connection, push_id: str, digests: tuple[Digest, ...]) -> None:
        """Queue payloads for delivery."""
        self.delivery.want(connection, push_id, digests)

    def overdue(self, connection: Connection, push_id: str, stage: str) -> None:
        """Note a push without an answer; the connection is being closed, and the node is offered anew when it is back."""
        log.warning("push.overdue", node=connection.node, push_id=push_id, phase=stage)
        if (facts := self._facts.get(connection.node)) is not None:
            facts.overdue(push_id, stage, time.time())
            self._watchers.note(facts.name)

    def ended(self, connection: Connection, reason: Reason) -> None:
        """Note that a connection is over."""
        self._greeting.discard(connection)
        facts = self._facts.get(connection.node)
        if facts is not None and reason == Reason.UNSUPPORTED:
            facts.turned_away = (
                "its agent speaks a protocol that this manager does not; upgrade the older side"
            )
        if self._connections.get(connection.node) is not connection:
            return
        del self._connections[connection.node]
        log.info("node.disconnected", node=connection.node, address=connection.address, reason=reason)
        if facts is not None:
            facts.disconnect(time.time())
            self._watchers.note(facts.name)

    # -- inside

    def _take_key(self, facts: NodeFacts, record: NodeRecord) -> None:
        facts.key_change = record.key_change
        self._directory.pin(record.name, record.public_key)
        self._watchers.note(record.name)

    def _greet(self, node: NodeName, transport: Transport, is_authorised: Callable[[], bool]) -> Connection:
        connection = Connection(
            node=node,
            transport=transport,
            listener=self,
            is_authorised=is_authorised,
            allowance=self._floods.allowance_of(node),
        )
        self._greeting.add(connection)
        return connection

    def _key_revoked(self, key: PinnedKey, reason: Reason) -> None:
        """End what the key opened; who replaced it may come back at once."""
        retry_s = REPLACED_RETRY_S if reason == Reason.FORBIDDEN else GOODBYE_RETRY_S
        self._end_all(key.node, reason, retry_s)

    def _end_all(self, name: NodeName, reason: Reason, retry_after_s: float) -> None:
        """End every connection of a node, greeted or not."""
        current = self._connections.get(name)
        greeting = [each for each in self._greeting if each.node == name]
        for connection in [*greeting, *([current] if current is not None else [])]:
            connection.goodbye(reason, retry_after_s)

    def _add(self, record: NodeRecord) -> NodeFacts:
        joined = bool(record.public_key) or record.kind == "management"
        facts = self._facts[record.name] = NodeFacts(
            name=record.name,
            kind=record.kind,
            joined=joined,
            node_id=record.id,
            key_change=record.key_change,
        )
        return facts

    def _known(self, name: NodeName) -> NodeFacts:
        facts = self._facts.get(name)
        if facts is None:
            raise NotFoundError(f"there is no node '{name}'", hint=Hint.LIST_NODES)
        return facts

    def _choose(self, nodes: Sequence[NodeName] | None) -> list[NodeFacts]:
        names = self.names() if nodes is None else list(dict.fromkeys(nodes))
        return [self._known(name) for name in names]

    def _publishable(self, nodes: Collection[NodeFacts], *, forced: bool) -> list[NodeFacts]:
        """Leave out who knows more than this store: such a node waits for an operator's word (a forced push)."""
        return [facts for facts in nodes if forced or facts.adopting or not facts.is_in_conflict]

    async def _publish(
        self, nodes: Collection[NodeFacts], *, cause: str, changed_s: float, forced: bool = False
    ) -> set[NodeName]:
        async with self._publishing:
            self._confirmed_anchors = await self._store.trusted_cas.confirmed_anchors()
            chosen = self._publishable(nodes, forced=forced)
            published = await self._compiler.publish(
                chosen, epoch=self._epoch, cause=cause, changed_s=changed_s
            )
            for facts in chosen:
                # a node that was added again under the name meanwhile is another one
                if facts.name in published and self._facts.get(facts.name) is facts:
                    facts.desired = published[facts.name]
                    self._watchers.note(facts.name)
            for facts in chosen:
                facts.adopting = facts.adopting and facts.connected_s is None
        if published:
            log.info("generation.published", count=len(published), cause=cause)
        return set(published)

    def _pursue(self, facts: NodeFacts, *, forced: bool = False) -> PlannedPush:
        """Ask the planner about one node, and do what it says."""
        now_s = time.time()
        if self._confirmed_anchors is not None and facts.should_override_shrink_guard(
            self._confirmed_anchors
        ):
            # who confirmed the loss here need not do it again for each node; an agent of an earlier release does not know from the offer
            forced = True
        plan = plan_push(facts, now_s=now_s, forced=forced)
        # facts that were chosen before the node was removed say nothing to one that was added again under its name
        is_current = self._facts.get(facts.name) is facts
        connection = self._connections.get(facts.name) if is_current else None
        if plan.action == "wait" and (rest_s := facts.retry_in_s(now_s)) > 0:
            self._retries[facts.name] = time.monotonic() + rest_s
        if (
            plan.action == "push"
            and facts.desired is not None
            and connection is not None
            and connection.ready
        ):
            push_id = uuid.uuid4().hex
            facts.offer(push_id, facts.desired, now_s, forced=forced)
            log.debug("push.offered", node=facts.name, push_id=push_id, generation=plan.generation)
            push = Push(
                push_id=push_id,
                manifest=facts.desired.manifest,
                forced=forced,
                confirmed_anchors=self._confirmed_anchors,
            )
            connection.offer(push)
            self._watchers.note(facts.name)
        return plan

    def _retry(self) -> None:
        """Offer again what was refused or failed, as soon as its rest is over: no word of the node is waited for."""
        now_s = time.monotonic()
        for name in [name for name, at_s in self._retries.items() if at_s <= now_s]:
            del self._retries[name]
            if (facts := self._facts.get(name)) is not None:
                self._pursue(facts)

    def _conclude(self, facts: NodeFacts, message: Rejected | Outcome) -> None:
        view = facts.push_view()
        if isinstance(message, Outcome) and message.result == "applied":
            log.info(
                "push.acked",
                node=facts.name,
                push_id=message.push_id,
                generation=message.generation,
                duration_ms=message.duration_ms,
            )
        else:
            log.warning(
                "push.nacked",
                node=facts.name,
                push_id=message.push_id,
                reason=message.reason,
                message=message.message,
            )
        if view is not None and view.push_id == message.push_id:
            for observe in self.observers:
                observe(facts.name, view)
        self._pursue(facts)
