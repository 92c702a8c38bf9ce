"""Index of nodes: a brief of each, and how many are in which state, kept up to date as nodes change.

Leaves who is known to the registry. Invariants: what is read is as of the last change of each node that was noted; a reader pays for
the nodes that changed since the last one, never for all.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from common.codes import State
from common.ids import NodeName
from manager.domain.brief import NodeBrief, brief_of
from manager.domain.facts import NodeFacts

BEHIND_MAX: Final = 1_000
"""Nodes that may have changed unread: to look at so many again takes some 5 ms, which no reader should wait for longer."""


class Index:
    """Over the facts of a registry, which it reads."""

    def __init__(self, facts: Mapping[NodeName, NodeFacts]) -> None:
        self._facts = facts
        self._behind: set[NodeName] = set()
        self._briefs: dict[NodeName, NodeBrief] = {}
        self._counts: Counter[State] = Counter()
        self._listed: set[NodeName] = set()
        self._names: list[NodeName] | None = None

    def note(self, name: NodeName) -> None:
        """Take note that a node changed, came or went."""
        if (name in self._facts) is not (name in self._listed):
            self._names = None
            self._listed ^= {name}
        self._behind.add(name)
        if len(self._behind) >= BEHIND_MAX:
            self._catch_up()

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""
        if self._names is None:
            self._names = sorted(self._facts)
        return list(self._names)

    def briefs(self) -> dict[NodeName, NodeBrief]:
        """Return what all nodes are now; it stays like that while the nodes change."""
        self._catch_up()
        return dict(self._briefs)

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""
        self._catch_up()
        return {state: count for state, count in self._counts.items() if count}

    def _catch_up(self) -> None:
        behind, self._behind = self._behind, set()
        for name in behind:
            if (former := self._briefs.pop(name, None)) is not None:
                self._counts[former.state] -= 1
            if (facts := self._facts.get(name)) is not None:
                brief = self._briefs[name] = brief_of(facts)
                self._counts[brief.state] += 1
