"""A trusted CA has expired."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_trusted_ca, say_expired
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for record in stored.inventory.trusted_cas.values():
        details = say_expired(record.not_after_s, now_s=stored.now_s)
        if details is not None:
            yield about_trusted_ca(record, AlarmKind.CA_EXPIRED, details)


SPEC: Final = stored_spec(AlarmKind.CA_EXPIRED, 6, "error", _find)
