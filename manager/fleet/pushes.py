"""Pushes: carries out the planner's decision for a node, and records the outcome.

Decides only when to ask again about a node whose content rests after a failure. Invariant: a generation is
offered only to the current connection, and sending advances nothing but `offered`.
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
    """All pushes under way. `observers` are called with each finished push."""

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
        """Ask the planner about one node, and do what it decides."""
        now_s, confirmed = self._clock(), self._publisher.confirmed_anchors
        if confirmed is not None and should_override_shrink_guard(facts, confirmed):
            # an operator who confirmed the loss here need not do it again per node; an older agent does not
            # learn of it from the offer
            forced = True
        plan = plan_push(facts, now_s=now_s, forced=forced)
        if plan.action == "wait" and (rest_s := facts.retry_in_s(now_s)) > 0:
            self._retries[facts.name] = time.monotonic() + rest_s
        # facts chosen before the node was removed must not affect one added again under its name
        connection = self._connections.of(facts.name) if self._registry.is_current(facts) else None
        desired = facts.desired
        if plan.action == "push" and desired is not None and connection is not None and connection.ready:
            self._offer(facts, desired, connection, now_s=now_s, forced=forced)
        return plan

    async def pursue_each(self, nodes: Sequence[NodeFacts], *, forced: bool = False) -> Sequence[PlannedPush]:
        """Pursue the pushes of all these nodes, yielding to the loop: thousands of offers take seconds."""
        return [self.pursue(facts, forced=forced) async for facts in by_turns(nodes)]

    def supply(self, connection: Connection, push_id: str, digests: tuple[Digest, ...]) -> None:
        """Queue payloads for delivery."""
        self._delivery.want(connection, push_id, digests)

    def conclude(self, facts: NodeFacts, message: Rejected | Outcome) -> None:
        """Record the end of a push, which the facts know already, and go on with the next."""
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
        """Offer refused or failed content again once its rest is over; the node need not ask."""
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
