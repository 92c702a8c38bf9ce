"""A trusted CA expires soon."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_trusted_ca, expiring
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for record in stored.inventory.trusted_cas.values():
        details = expiring(record.not_after_s, now_s=stored.now_s)
        if details is not None:
            yield about_trusted_ca(record, AlarmKind.CA_EXPIRING, details)


SPEC: Final = stored_spec(AlarmKind.CA_EXPIRING, 5, "warning", _find)
