"""Sources that nodes are known to come from: where an operator said that a node is, and where one has logged in from.

Invariant: what is remembered of a node is bounded, and what a stranger does adds nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

from common.ids import NodeName
from common.source import UNKNOWN, source_of
from manager.domain.model import NodeRecord

SEEN_MAX: Final = 4
"""Sources that are remembered of one node: it may have several ways out, and move."""

READ_S: Final = 15.0
"""How often nodes' addresses are read again."""


class Addresses(Protocol):
    """What is known of running nodes."""

    def addresses(self) -> Mapping[NodeName, str]:
        """Return where each node was last connected from, "" if it was not."""


class KnownSources:
    """`declared` are addresses of nodes to begin with."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._declared = frozenset(source_of(address) for address in declared)
        self._seen: dict[NodeName, OrderedDict[str, None]] = {}
        self._all: set[str] = set()
        self._gather()

    def __contains__(self, source: object) -> bool:
        return source in self._all

    def note_login(self, node: NodeName, address: str) -> None:
        """Note from where a node has logged in."""
        source = source_of(address)
        seen = self._seen.setdefault(node, OrderedDict())
        is_new = source not in seen
        seen[source] = None
        seen.move_to_end(source)
        if len(seen) > SEEN_MAX:
            seen.popitem(last=False)
            self._gather()
        elif is_new and source != UNKNOWN:
            # thousands come back at once, and gathering looks at all of them
            self._all.add(source)

    def forget(self, node: NodeName) -> None:
        """Forget where a node that was removed has come from."""
        if self._seen.pop(node, None) is not None:
            self._gather()

    def read(self, nodes: Iterable[NodeRecord], addresses: Mapping[NodeName, str]) -> None:
        """Take where all nodes are, and forget those that were removed."""
        records = list(nodes)
        self._declared = frozenset(source_of(address) for record in records for address in record.addresses)
        names = {record.name for record in records}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        for name, address in addresses.items():
            if name in names and address:
                self._seen.setdefault(name, OrderedDict()).setdefault(source_of(address))
        self._gather()

    async def run(
        self, nodes: Callable[[], Awaitable[Mapping[NodeName, NodeRecord]]], fleet: Addresses
    ) -> None:
        """Read where all nodes are whenever that changed, looked at again and again, until cancelled."""
        read: tuple[Mapping[NodeName, NodeRecord], Mapping[NodeName, str]] | None = None
        while True:
            found = await nodes(), fleet.addresses()
            # this takes a tenth of what reading does
            if found != read:
                self.read(found[0].values(), found[1])
                read = found
            await asyncio.sleep(READ_S)

    def _gather(self) -> None:
        seen = (source for each in self._seen.values() for source in each)
        self._all = {*self._declared, *seen} - {UNKNOWN}
