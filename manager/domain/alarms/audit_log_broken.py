"""The audit log's chain or its end does not hold."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from common.codes import Fault
from common.ids import MANAGEMENT_NODE, NodeName
from manager.domain.alarms.kinds import AlarmKind, Condition, Subject, manager_spec

SPEC: Final = manager_spec(AlarmKind.AUDIT_LOG_BROKEN, 22, "error")

_FAULTS: Final[Mapping[Fault, str]] = MappingProxyType(
    {
        Fault.HEAD: "The record of where it ends is missing or was altered, so entries may be missing at its end.",
        Fault.END: "It does not end where it should: entries at its end are missing, or were added or altered.",
        Fault.KEY: "The key of its chain is missing or cannot be opened, so nothing that is recorded can be changed.",
        Fault.ENTRY: "An entry was altered, added or removed; verify the log to see which.",
        Fault.EARLIER: "When an entry was written, those before it were not all there; verify the log to see where.",
        Fault.SHIPPED: (
            "It does not hold a head that was shipped: an older copy of the store is in place, or its end was cut. If the store was restored "
            "from a backup, mark it as restored."
        ),
        Fault.WITNESS: (
            "The file `audit-head` beside the database, which has its last head, is missing or has none: it was removed, or the store was put "
            "here without it. Compare the log with a head that was kept elsewhere; if the store was restored from a backup, mark it as restored."
        ),
    }
)


_OWN: Final = frozenset({Fault.ENTRY, Fault.SHIPPED, Fault.WITNESS})
"""What one manager finds, in its directory or in a walk of its own: the others may find nothing."""


def condition(fault: Fault, node: NodeName) -> Condition:
    """Say what is wrong with the log, as the manager with this node found it."""
    if fault not in _OWN or node == MANAGEMENT_NODE:
        subject = Subject(AlarmKind.AUDIT_LOG_BROKEN, "manager")
        return Condition(subject=subject, label="audit log", details=_FAULTS[fault])
    subject = Subject(AlarmKind.AUDIT_LOG_BROKEN, f"node:{node}")
    details = f"Manager '{node}' found: {_FAULTS[fault]}"
    return Condition(subject=subject, label="audit log", details=details, node=node)
