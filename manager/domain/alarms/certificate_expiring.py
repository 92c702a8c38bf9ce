"""A certificate expires soon, relative to its lifetime."""

from collections.abc import Iterable
from typing import Final

from common.pki.expiry import lifetime_s
from manager.domain.alarms.about import about_certificate, expiring
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for entry in stored.entries:
        leaf = entry.leaf
        life_s = lifetime_s(leaf.not_before_s, leaf.not_after_s)
        details = expiring(leaf.not_after_s, now_s=stored.now_s, life_s=life_s)
        if details is not None:
            yield about_certificate(entry, AlarmKind.CERTIFICATE_EXPIRING, details)


SPEC: Final = stored_spec(AlarmKind.CERTIFICATE_EXPIRING, 3, "warning", _find)
