"""Roster: the existing nodes and their keys, changed by this manager or another of the same store.

Decides which parts of the fleet go with a node or its key. Invariant: late reads of the store never undo a
change this manager has made since.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from common.ids import NodeName
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeRecord
from manager.fleet.changes import ChangeQueue
from manager.fleet.connections import Connections
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter


class Roster:
    """Adds and removes nodes, and pins their keys."""

    def __init__(
        self, registry: Registry, connections: Connections, *, reports: ReportWriter, changes: ChangeQueue
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._reports = reports
        self._changes = changes
        self._readers: list[set[int]] = []

    @contextmanager
    def changes_meanwhile(self) -> Iterator[Collection[int]]:
        """Lend the numbers of nodes that this manager adds, re-keys or removes while the store is read."""
        meanwhile: set[int] = set()
        self._readers.append(meanwhile)
        try:
            yield meanwhile
        finally:
            self._readers.remove(meanwhile)

    # -- what this manager changed

    def add(self, record: NodeRecord) -> None:
        """Take a new node."""
        self._note(record.id)
        self._add(record)

    def join(self, record: NodeRecord) -> None:
        """Take the key a node joined with, and end every connection of its former key.

        Any state from the node's earlier life is ignored.
        """
        self._note(record.id)
        # another manager may have added it a moment ago
        facts = self._registry.find(record.name) or self._add(record)
        _join(facts, record)
        self._pin(facts, record)

    def rotate(self, record: NodeRecord) -> None:
        """Take the key that replaces a node's former one, and end every connection of that."""
        self._note(record.id)
        self._pin(self._registry.find(record.name) or self._add(record), record)

    def remove(self, name: NodeName) -> None:
        """Forget a node and its key, and end all its connections."""
        if (facts := self._registry.find(name)) is not None:
            self._note(facts.node_id)
        self._remove(name)

    # -- what the store says

    def follow(self, record: NodeRecord, meanwhile: Collection[int]) -> NodeFacts | None:
        """Take a node from the store; return its facts, None if this manager removed it meanwhile."""
        facts, is_changed_here = self._registry.find(record.name), record.id in meanwhile
        if facts is not None and facts.node_id != record.id:
            if is_changed_here or facts.node_id in meanwhile:
                return None
            self._remove(record.name)
            facts = None
        if facts is None:
            if is_changed_here:
                return None
            facts = self._add(record)
        if is_changed_here:
            return facts
        if facts.enrolled_s != record.enrolled_s:
            _join(facts, record)
        if record.public_key and self._connections.key_of(record.name) != record.public_key:
            self._pin(facts, record)
        return facts

    def follow_back(self, record: NodeRecord, meanwhile: Collection[int]) -> None:
        """Forget a node whose key the store has lost, before following it: it must join again."""
        is_changed_here = record.id in meanwhile
        if not is_changed_here and not record.public_key and self._connections.key_of(record.name):
            self._remove(record.name)

    def keep(self, present: Collection[int], meanwhile: Collection[int]) -> None:
        """Forget every node that is not among these."""
        for facts in self._registry:
            if facts.node_id not in present and facts.node_id not in meanwhile:
                self._remove(facts.name)

    # -- inside

    def _add(self, record: NodeRecord) -> NodeFacts:
        facts = self._registry.add(record)
        self._changes.note([record.name], cause="node added")
        self._registry.note(record.name)
        return facts

    def _remove(self, name: NodeName) -> None:
        self._registry.remove(name)
        self._reports.forget(name)
        self._connections.forget(name)
        self._registry.note(name)

    def _pin(self, facts: NodeFacts, record: NodeRecord) -> None:
        facts.joined, facts.key_change = True, record.key_change
        self._connections.pin(record.name, record.public_key)
        self._registry.note(record.name)

    def _note(self, node_id: int) -> None:
        for meanwhile in self._readers:
            meanwhile.add(node_id)


def _join(facts: NodeFacts, record: NodeRecord) -> None:
    facts.joined = facts.awaiting_first_report = True
    facts.contact = None
    facts.enrolled_s = record.enrolled_s
