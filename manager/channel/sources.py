"""Known sources of nodes: addresses declared by an operator, and those from which nodes have logged in.

Invariant: the memory per node is bounded, and strangers add nothing to it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

from common.ids import NodeName
from common.source import UNKNOWN, source_of
from manager.domain.model import NodeRecord

SEEN_MAX: Final = 4
"""How many sources are remembered per node: it may have several ways out, and move."""

READ_S: Final = 15.0
"""How often nodes' addresses are read again."""


class Addresses(Protocol):
    """The addresses of connected nodes."""

    def addresses(self) -> Mapping[NodeName, str]:
        """Return the last address each node connected from, or ""."""


class KnownSources:
    """The known sources. `declared` are the initial addresses of nodes."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._declared = frozenset(source_of(address) for address in declared)
        self._seen: dict[NodeName, OrderedDict[str, None]] = {}
        self._all: set[str] = set()
        self._gather()

    def __contains__(self, source: object) -> bool:
        return source in self._all

    def note_login(self, node: NodeName, address: str) -> None:
        """Record the address from which a node logged in."""
        source = source_of(address)
        seen = self._seen.setdefault(node, OrderedDict())
        is_new = source not in seen
        seen[source] = None
        seen.move_to_end(source)
        if len(seen) > SEEN_MAX:
            seen.popitem(last=False)
            self._gather()
        elif is_new and source != UNKNOWN:
            # thousands return at once, and gathering goes through all of them
            self._all.add(source)

    def forget(self, node: NodeName) -> None:
        """Forget the sources of a removed node."""
        if self._seen.pop(node, None) is not None:
            self._gather()

    def read(self, nodes: Iterable[NodeRecord], addresses: Mapping[NodeName, str]) -> None:
        """Take the addresses of all nodes, and forget removed ones."""
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
        """Poll the nodes' addresses, and read them whenever they changed, until cancelled."""
        read: tuple[Mapping[NodeName, NodeRecord], Mapping[NodeName, str]] | None = None
        while True:
            found = await nodes(), fleet.addresses()
            # comparing takes a tenth of reading
            if found != read:
                self.read(found[0].values(), found[1])
                read = found
            await asyncio.sleep(READ_S)

    def _gather(self) -> None:
        seen = (source for each in self._seen.values() for source in each)
        self._all = {*self._declared, *seen} - {UNKNOWN}
