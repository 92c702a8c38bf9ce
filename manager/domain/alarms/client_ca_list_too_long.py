"""Trusted CAs whose names are too many for the list that a server sends to its clients."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, Subject, stored_spec
from manager.domain.trust import client_ca_list


def _find(stored: Stored) -> Iterable[Condition]:
    details = client_ca_list(stored.inventory.trusted_cas, stored.inventory.trust)
    if details:
        subject = Subject(AlarmKind.CLIENT_CA_LIST_TOO_LONG, "trusted_cas")
        yield Condition(subject=subject, label="Trusted CAs", details=details)


SPEC: Final = stored_spec(AlarmKind.CLIENT_CA_LIST_TOO_LONG, 19, "warning", _find)
