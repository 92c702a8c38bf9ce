"""Floods: the nodes that exceeded their allowance, and how long that is shown.

Owns the allowances, one per node over all of its connections. Leaves to the fleet how a node is sent away.
"""

import time
from collections.abc import Callable

import structlog

from common.ids import NodeName
from manager.channel.allowance import Allowance
from manager.domain.facts import NodeFacts

log = structlog.get_logger(__name__)


class Floods:
    def __init__(self) -> None:
        self._allowances: dict[NodeName, Allowance] = {}
        self._flooding: set[NodeName] = set()

    def allowance_of(self, name: NodeName) -> Allowance:
        """Return a node's allowance."""
        allowance = self._allowances.get(name)
        if allowance is None:
            allowance = self._allowances[name] = Allowance(time.monotonic())
        return allowance

    def rest_s(self, name: NodeName) -> float:
        """Return how much longer the node rests, 0 if it may go on."""
        return self.allowance_of(name).rest_s(time.monotonic())

    def record(self, facts: NodeFacts, address: str, what: str) -> float:
        """Record a flood by a node: of what, and from where. Return how long the node rests."""
        rest_s = self.allowance_of(facts.name).suspend(time.monotonic())
        facts.flood = f"{what}, from {address}"
        self._flooding.add(facts.name)
        log.warning("node.rate_limited", node=facts.name, address=address, message=what, retry_after_s=rest_s)
        return rest_s

    def clear_over(self, find: Callable[[NodeName], NodeFacts | None], now_s: float) -> list[NodeName]:
        """Clear the floods that are over from the facts, which `find` has; return whose they were."""
        over = [name for name in self._flooding if self.allowance_of(name).is_calm(now_s)]
        self._flooding.difference_update(over)
        for name in over:
            if (facts := find(name)) is not None:
                facts.flood = ""
        return over

    def forget(self, name: NodeName) -> None:
        """Drop the state of a removed node."""
        self._allowances.pop(name, None)
        self._flooding.discard(name)
