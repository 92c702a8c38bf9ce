"""Node registry: which nodes there are, and the facts of each in memory.

Decides who is known under a name. Leaves what the facts mean to `manager.domain.facts` and what is done about them to its callers.
Invariant: a node that was removed and added again under its name is another one, with facts of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from common.errors import Hint, NotFoundError
from common.ids import NodeName
from manager.domain.brief import NodeBrief
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeRecord
from manager.domain.view import NodeView
from manager.domain.view_of_facts import view_of
from manager.fleet.index import Index
from manager.fleet.watch import Subscription, Watchers


class Registry:
    """The facts of all nodes, and who watches them. `clock` is the store's, in unix seconds, as in all of the fleet: it judges nodes' clocks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._facts: dict[NodeName, NodeFacts] = {}
        self._index = Index(self._facts)
        self._watchers = Watchers()

    def __iter__(self) -> Iterator[NodeFacts]:
        """Go through all as they are now, whoever is added or removed on the way."""
        return iter(list(self._facts.values()))

    def add(self, record: NodeRecord) -> NodeFacts:
        """Take a new node."""
        joined = bool(record.public_key) or record.kind == "management"
        facts = self._facts[record.name] = NodeFacts(
            name=record.name,
            kind=record.kind,
            joined=joined,
            node_id=record.id,
            enrolled_s=record.enrolled_s,
            key_change=record.key_change,
        )
        self._index.note(record.name)
        return facts

    def remove(self, name: NodeName) -> None:
        self._facts.pop(name, None)
        self._index.note(name)

    def find(self, name: NodeName) -> NodeFacts | None:
        """Return a node's facts."""
        return self._facts.get(name)

    def get(self, name: NodeName) -> NodeFacts:
        """Return a node's facts. Raises NotFoundError."""
        facts = self._facts.get(name)
        if facts is None:
            raise NotFoundError(f"there is no node '{name}'", hint=Hint.LIST_NODES)
        return facts

    def choose(self, nodes: Sequence[NodeName] | None) -> list[NodeFacts]:
        """Return the facts of these nodes, each once; None for all. Raises NotFoundError."""
        names = self.names() if nodes is None else list(dict.fromkeys(nodes))
        return [self.get(name) for name in names]

    def remaining(self, names: Iterable[NodeName]) -> list[NodeFacts]:
        """Return the facts of those of these nodes that there still are."""
        return [self._facts[name] for name in names if name in self._facts]

    def is_current(self, facts: NodeFacts) -> bool:
        """Whether these are still the facts of the node under their name: it may have been removed and added again since."""
        return self._facts.get(facts.name) is facts

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""
        return self._index.names()

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""
        now_s = self._clock()
        return [view_of(self._facts[name], now_s) for name in self.names()]

    def addresses(self) -> Mapping[NodeName, str]:
        """Return where each node was last connected from, "" if it was not."""
        return {name: facts.address for name, facts in self._facts.items()}

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""
        return self._index.counts()

    def briefs(self) -> dict[NodeName, NodeBrief]:
        """Return all nodes in a few words each, as they are now."""
        return self._index.briefs()

    @property
    def count_of_changes(self) -> int:
        """How often a node changed in this run."""
        return self._watchers.count

    def note(self, name: NodeName) -> None:
        """Tell who watches that a node changed. Whoever changes it does so first: what is kept of it is made from then on."""
        self._index.note(name)
        self._watchers.note(name)

    def subscribe(self, since: str | None) -> AbstractContextManager[Subscription]:
        """Lend a subscription to the nodes that change, from a mark on if one is given."""
        return self._watchers.subscribe(
            lambda name: view_of(facts, self._clock()) if (facts := self._facts.get(name)) else None,
            names=self.names(),
            since=since,
        )
