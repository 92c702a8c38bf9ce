"""A node's certificate that clients refuse for its own content: purpose, key, signature or encoding."""

from collections.abc import Iterable
from typing import Final

from common.codes import StatusCode
from common.pki.finding import LintCode, Severity
from manager.domain.alarms.about import about_certificate
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec

_REPORTED_ELSEWHERE: Final = frozenset(
    {LintCode.CHAIN, LintCode.NODE_NAME_MISMATCH, LintCode.UNLOADABLE, LintCode.NOT_YET_VALID}
)
"""Findings with their own alarm, and certificates that nodes do not install before they are valid."""

_WEAK: Final = "It is signed with SHA-1 or an older hash."


def _find(stored: Stored) -> Iterable[Condition]:
    inventory, now_s = stored.inventory, stored.now_s
    for entry in stored.entries:
        if not entry.places:
            continue
        messages = [
            each.message
            for each in inventory.findings(entry.id, now_s=now_s)
            if each.severity is Severity.ERROR and each.code not in _REPORTED_ELSEWHERE
        ]
        if any(each.code is StatusCode.WEAK_SIGNATURE for each in inventory.statuses(entry.id, now_s=now_s)):
            messages.append(_WEAK)
        if messages:
            yield about_certificate(entry, AlarmKind.CERTIFICATE_REFUSED, " ".join(messages))


SPEC: Final = stored_spec(AlarmKind.CERTIFICATE_REFUSED, 25, "error", _find)
