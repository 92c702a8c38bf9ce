"""The audit log's chain or its end fails verification."""

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
        Fault.KEY: "The key of its chain is missing or cannot be opened, so changes that must be logged are refused.",
        Fault.ENTRY: "An entry was altered, added or removed; verify the log to see which.",
        Fault.EARLIER: "Earlier entries were missing when an entry was written; verify the log to see where.",
        Fault.SHIPPED: (
            "It lacks an entry whose head was shipped: the store was replaced by an older copy, or the log's end "
            "was cut off. If the store was restored from a backup, mark it as restored."
        ),
        Fault.WITNESS: (
            "The file `audit-head` next to the database, which records the log's last head, is missing or has no head: "
            "it was removed, or the store was copied here without it. Compare the log with a head that was kept "
            "elsewhere. If the store was restored from a backup, mark it as restored."
        ),
    }
)


_OWN: Final = frozenset({Fault.ENTRY, Fault.SHIPPED, Fault.WITNESS})
"""Faults that one manager finds in its own directory or walk, and that the others may not see."""


def condition(fault: Fault, node: NodeName) -> Condition:
    """Return the condition for a fault in the log found by the manager with this node."""
    if fault not in _OWN or node == MANAGEMENT_NODE:
        subject = Subject(AlarmKind.AUDIT_LOG_BROKEN, "manager")
        return Condition(subject=subject, label="audit log", details=_FAULTS[fault])
    subject = Subject(AlarmKind.AUDIT_LOG_BROKEN, f"node:{node}")
    details = f"Manager '{node}' found: {_FAULTS[fault]}"
    return Condition(subject=subject, label="audit log", details=details, node=node)
