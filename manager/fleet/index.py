"""Node index: a summary of each node and the number in each state, updated as nodes change.

The registry decides which nodes exist. Invariants: a summary is as of the node's last noted change; a reader
pays for the nodes changed since the last read, never for all.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from common.codes import State
from common.ids import NodeName
from manager.domain.brief import NodeBrief, brief_of
from manager.domain.facts import NodeFacts

BEHIND_MAX: Final = 1_000
"""How many noted changes may stay unread: reading this many takes some 5 ms, as long as a reader should wait.
"""


class Index:
    """An index over the facts of a registry."""

    def __init__(self, facts: Mapping[NodeName, NodeFacts]) -> None:
        self._facts = facts
        self._behind: set[NodeName] = set()
        self._briefs: dict[NodeName, NodeBrief] = {}
        self._counts: Counter[State] = Counter()
        self._listed: set[NodeName] = set()
        self._names: list[NodeName] | None = None

    def note(self, name: NodeName) -> None:
        """Note that a node changed, came or went."""
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
        """Return a snapshot of all nodes, which later changes do not affect."""
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
