"""Faults of the audit log, told to other managers, which cannot see the finder's directory.

Invariant: nothing is written unless a manager's finding changes.
"""

from collections.abc import Mapping
from typing import Final

from common.codes import Fault
from common.ids import NodeName
from manager.store.engine import Database
from manager.store.meta import Meta

_PREFIX: Final = "audit-fault:"


class AuditFaults:
    def __init__(self, database: Database, values: Meta) -> None:
        self._database = database
        self._values = values

    async def tell(self, node: NodeName, fault: Fault) -> None:
        """Store the fault that the manager with this node finds now. Raises StorageError."""
        name = f"{_PREFIX}{node}"
        wanted = None if fault is Fault.NONE else fault.value.encode()
        if await self._values.get(name) == wanted:
            return
        if wanted is None:
            await self._values.remove(name)
        else:
            await self._values.set(name, wanted)

    async def told(self) -> Mapping[NodeName, Fault]:
        """Return the managers' faults by node, leaving out managers that found none. Raises StorageError."""
        found = await self._values.with_prefix(_PREFIX)
        return {
            NodeName(name.removeprefix(_PREFIX)): Fault(value.decode())
            for name, value in found.items()
            if value.decode() in set(Fault)
        }
