"""Alarm names and levels of the management API.

Decides the name and level of each kind of alarm there (the contract's section 20); monitoring add-ons filter
by both. Invariant: every kind has a name, its own if the clients know none, and its name is the same in every
request.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from manager.domain.alarms import AlarmKind, AlarmRecord

LEVELS: Final = ("critical", "error", "warning", "info")
"""The levels that clients know, the worst first."""

MISSING_ON_MANAGEMENT_NODE: Final = "tls_certificate_missing_management"
SYNC_FAILURE: Final = "configuration_sync_failure"
SPELLINGS: Final[Mapping[str, str]] = MappingProxyType({"confuration_sync_failure": SYNC_FAILURE})
"""What an add-on asks for, and which name it means."""

NAMES: Final[Mapping[AlarmKind, str]] = MappingProxyType(
    {
        AlarmKind.NO_CERTIFICATE: "tls_certificate_missing",
        AlarmKind.CHAIN_INCOMPLETE: "tls_certificate_chains",
        AlarmKind.CERTIFICATE_EXPIRING: "tls_certificate_expiring",
        AlarmKind.CERTIFICATE_EXPIRED: "tls_certificate_expiring",
        AlarmKind.CA_EXPIRING: "trustedca_expiring",
        AlarmKind.CA_EXPIRED: "trustedca_expiring",
        AlarmKind.OUT_OF_SYNC: SYNC_FAILURE,
        AlarmKind.NOT_SERVING: SYNC_FAILURE,
        AlarmKind.INSTALL_FAILED: SYNC_FAILURE,
        AlarmKind.DRIFTED: SYNC_FAILURE,
        AlarmKind.CONFLICT: SYNC_FAILURE,
        AlarmKind.OFFLINE: "connectivity_lost",
        AlarmKind.CLOCK_SKEW: "ntp_not_synchronised",
    }
)

_LEVELS: Final[Mapping[AlarmKind, str]] = MappingProxyType(
    {
        AlarmKind.CERTIFICATE_EXPIRED: "critical",
        # an add-on's default filter is "critical or error", and leaves warnings out
        AlarmKind.OFFLINE: "error",
        AlarmKind.OUT_OF_SYNC: "error",
        AlarmKind.DRIFTED: "error",
    }
)


def alarm_name(kind: AlarmKind, *, of_management_node: bool = False) -> str:
    """Return the name of a kind of alarm; ours, which is stable too, if the clients have none."""
    if kind is AlarmKind.NO_CERTIFICATE and of_management_node:
        return MISSING_ON_MANAGEMENT_NODE
    return NAMES.get(kind, kind.value)


def alarm_level(record: AlarmRecord) -> str:
    """Return an alarm's level, one of LEVELS."""
    return _LEVELS.get(record.subject.kind, record.spec.level)
