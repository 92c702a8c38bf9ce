"""Pushes: carries out what `manager.domain.planner` says of a node, and takes what came of it.

Decides nothing of its own but when a node whose content rests after a failure is asked about again.
Invariant: a generation is offered only to the connection that counts, and nothing but `offered` advances on send.
"""

import time
import uuid
from collections.abc import Callable, Sequence

import structlog

from common.ids import Digest, NodeName
from common.runtime.long_loops import by_turns
from common.wire.sender import PushAttempt
from manager.channel.connection import Connection
from manager.domain.desired import Desired
from manager.domain.facts import NodeFacts
from manager.domain.planner import missing_payloads, plan_push, should_override_shrink_guard
from manager.domain.report import Outcome, Rejected
from manager.domain.view import PlannedPush, PushView
from manager.fleet.cluster_notifier import ClusterNotifier
from manager.fleet.connections import Connections
from manager.fleet.delivery import Delivery
from manager.fleet.publisher import Publisher
from manager.fleet.registry import Registry

log = structlog.get_logger(__name__)

Observer = Callable[[NodeName, PushView], None]


class Pushes:
    """All pushes under way. `observers` are told of each that ended."""

    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        publisher: Publisher,
        delivery: Delivery,
        notifier: ClusterNotifier,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._notifier = notifier
        self._registry = registry
        self._connections = connections
        self._publisher = publisher
        self._delivery = delivery
        self._retries: dict[NodeName, float] = {}
        self.observers: list[Observer] = []

    def pursue(self, facts: NodeFacts, *, forced: bool = False) -> PlannedPush:
        """Ask the planner about one node, and do what it says."""
        now_s, confirmed = self._clock(), self._publisher.confirmed_anchors
        if confirmed is not None and should_override_shrink_guard(facts, confirmed):
            # who confirmed the loss here need not do it again for each node; an agent of an earlier release does not know from the offer
            forced = True
        plan = plan_push(facts, now_s=now_s, forced=forced)
        if plan.action == "wait" and (rest_s := facts.retry_in_s(now_s)) > 0:
            self._retries[facts.name] = time.monotonic() + rest_s
        # facts that were chosen before the node was removed say nothing to one that was added again under its name
        connection = self._connections.of(facts.name) if self._registry.is_current(facts) else None
        desired = facts.desired
        if plan.action == "push" and desired is not None and connection is not None and connection.ready:
            self._offer(facts, desired, connection, now_s=now_s, forced=forced)
        return plan

    async def pursue_each(self, nodes: Sequence[NodeFacts], *, forced: bool = False) -> Sequence[PlannedPush]:
        """Pursue the pushes of all these nodes, giving the loop to others in between: thousands of offers take seconds."""
        return [self.pursue(facts, forced=forced) async for facts in by_turns(nodes)]

    def supply(self, connection: Connection, push_id: str, digests: tuple[Digest, ...]) -> None:
        """Queue payloads for delivery."""
        self._delivery.want(connection, push_id, digests)

    def conclude(self, facts: NodeFacts, message: Rejected | Outcome) -> None:
        """Tell how a push ended, which the facts know already, and go on with what is next."""
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
        if facts.push is not None and facts.push.push_id == message.push_id:
            for observe in self.observers:
                observe(facts.name, facts.push.view())
        self.pursue(facts)

    def retry(self) -> None:
        """Offer again what was refused or failed, as soon as its rest is over: no word of the node is waited for."""
        now_s = time.monotonic()
        for name in [name for name, at_s in self._retries.items() if at_s <= now_s]:
            del self._retries[name]
            if (facts := self._registry.find(name)) is not None:
                self.pursue(facts)

    def _offer(
        self, facts: NodeFacts, desired: Desired, connection: Connection, *, now_s: float, forced: bool
    ) -> None:
        push_id = uuid.uuid4().hex
        facts.offer(push_id, desired, now_s, forced=forced)
        generation = desired.version.generation
        log.debug("push.offered", node=facts.name, push_id=push_id, generation=generation)
        push = PushAttempt(
            push_id=push_id,
            manifest=desired.manifest,
            digest=desired.version.digest,
            forced=forced,
            confirmed_anchors=self._publisher.confirmed_anchors,
            carried=self._delivery.carry(connection, missing_payloads(facts)),
        )
        connection.offer(push)
        self._notifier.note_push(facts.name)
        self._registry.note(facts.name)
