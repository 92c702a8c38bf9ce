"""Node registry: the existing nodes, with the facts of each in memory.

Decides which node a name denotes. `manager.domain.facts` interprets the facts, and callers act on them.
Invariant: a node removed and added again under its name is another node, with facts of its own.
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
    """The facts of all nodes, and their watchers.

    `clock` is the store's, in unix seconds, as in all of the fleet: nodes' clocks are judged by it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._facts: dict[NodeName, NodeFacts] = {}
        self._index = Index(self._facts)
        self._watchers = Watchers()

    def __iter__(self) -> Iterator[NodeFacts]:
        """Iterate over a snapshot of all nodes, unaffected by additions and removals."""
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
        """Return the facts of those of these nodes that still exist."""
        return [self._facts[name] for name in names if name in self._facts]

    def is_current(self, facts: NodeFacts) -> bool:
        """Whether these facts are still their node's: it may have been removed and added again."""
        return self._facts.get(facts.name) is facts

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""
        return self._index.names()

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""
        now_s = self._clock()
        return [view_of(self._facts[name], now_s) for name in self.names()]

    def addresses(self) -> Mapping[NodeName, str]:
        """Return where each node last connected from, or ""."""
        return {name: facts.address for name, facts in self._facts.items()}

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""
        return self._index.counts()

    def briefs(self) -> dict[NodeName, NodeBrief]:
        """Return a summary of each node as of now."""
        return self._index.briefs()

    @property
    def count_of_changes(self) -> int:
        """How many node changes there were in this run."""
        return self._watchers.count

    def note(self, name: NodeName) -> None:
        """Tell watchers that a node changed. Change the facts first, as the index reads them from now on."""
        self._index.note(name)
        self._watchers.note(name)

    def subscribe(self, since: str | None) -> AbstractContextManager[Subscription]:
        """Lend a subscription to changed nodes, starting at a mark if one is given."""
        return self._watchers.subscribe(
            lambda name: view_of(facts, self._clock()) if (facts := self._facts.get(name)) else None,
            names=self.names(),
            since=since,
        )
