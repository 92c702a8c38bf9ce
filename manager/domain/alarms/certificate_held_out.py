"""A certificate that nodes do not get, because OpenSSL cannot load it."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_certificate
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for entry in stored.entries:
        if entry.is_held_out:
            why = entry.refused[entry.leaf.fingerprint]
            details = f"OpenSSL cannot load it: {why}. Nodes keep what they had."
            yield about_certificate(entry, AlarmKind.CERTIFICATE_HELD_OUT, details)


SPEC: Final = stored_spec(AlarmKind.CERTIFICATE_HELD_OUT, 21, "error", _find)
