"""A certificate has expired."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_certificate, say_expired
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for entry in stored.entries:
        details = say_expired(entry.leaf.not_after_s, now_s=stored.now_s)
        if details is not None:
            yield about_certificate(entry, AlarmKind.CERTIFICATE_EXPIRED, details)


SPEC: Final = stored_spec(AlarmKind.CERTIFICATE_EXPIRED, 4, "error", _find)
