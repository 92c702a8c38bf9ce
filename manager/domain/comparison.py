"""Certificate comparison: what a certificate lacks compared with its predecessor or its request.

Pure. Decides what counts as a loss (names, strength, purposes, time) and how severe it is. `consequences`
selects the certificates. Invariant: certificates with equal content have no difference.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.pki.certificate import Certificate
from common.pki.expiry import DAY_S, lifetime_s
from common.pki.finding import Severity
from common.pki.path import has_weak_signature
from common.words import counted, date, listed
from manager.domain.model import NodeRecord
from manager.pki.judge.lint import covers

SAME_TIME_S: Final = DAY_S
"""Tolerance for ends and lifetimes: a CA issues two certificates minutes apart, and counts in days."""


class DifferenceCode(StrEnum):
    """Kinds of differences between two certificates; stable for machines."""

    NAMES_LOST = "names_lost"
    NAMES_MISSING = "names_missing"
    WEAKER = "weaker"
    PURPOSE_LOST = "purpose_lost"
    ENDS_EARLIER = "ends_earlier"
    SHORTER_LIFETIME = "shorter_lifetime"
    KEY_TYPE = "key_type_changed"
    KEY_REUSED = "key_reused"
    SUBJECT = "subject_changed"
    ISSUER = "issuer_changed"


@dataclass(frozen=True, slots=True)
class CertificateDifference:
    """One difference: a code, a sentence that begins with "It", and its severity."""

    code: DifferenceCode
    message: str
    severity: Severity


def compare(
    before: Certificate, after: Certificate, *, label: str, in_place: bool = False
) -> list[CertificateDifference]:
    """Return the differences of `after`; `label` names the certificate that it replaces.

    `in_place`: both are contents of one entry, which keeps its own key and shares it with no other entry.
    """
    return [
        *_names(before, after, label),
        *_strength(before, after, label),
        *_purposes(before, after, label),
        *_times(before, after, label),
        *(() if in_place else _key_reuse(before, after, label)),
        *_rest(before, after, label),
    ]


def compare_request(names: Iterable[str], subject: str, after: Certificate) -> list[CertificateDifference]:
    """Return what an answer lacks compared with its request; the key is the request's own."""
    found = []
    if missing := [name for name in names if not has_name(after, name)]:
        message = f"It lacks names that the request asked for: {listed(missing)}."
        found.append(CertificateDifference(DifferenceCode.NAMES_MISSING, message, Severity.WARNING))
    if subject != after.raw_subject:
        message = f"Its subject is {after.raw_subject or 'empty'}; the request asked for {subject or 'none'}."
        found.append(CertificateDifference(DifferenceCode.SUBJECT, message, Severity.NOTE))
    return found


def has_name(certificate: Certificate, name: str) -> bool:
    """Whether a certificate covers a name: a host or address as clients ask for it, anything else literally."""
    lowered = name.lower()
    if lowered.startswith("*.") or "@" in name or "://" in name:
        return lowered in {each.lower() for each in certificate.subject_alt_names}
    return covers(certificate, name)


def find_uncovered(certificate: Certificate, node: NodeRecord) -> list[str]:
    """Return the node's names for which no client accepts a certificate.

    For a short name any host of that name suffices.
    """
    return [name for name in node.client_names if not _stands_for(certificate, name)]


def _stands_for(certificate: Certificate, name: str) -> bool:
    if "." in name or ":" in name:
        return covers(certificate, name)
    firsts = {dns.lower().partition(".")[0] for dns in certificate.dns_names}
    return name.lower() in firsts or "*" in firsts


def _names(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    if lost := [name for name in before.subject_alt_names if not has_name(after, name)]:
        message = f"It lacks names of {label}, which it replaces: {listed(lost)}."
        yield CertificateDifference(DifferenceCode.NAMES_LOST, message, Severity.WARNING)


def _strength(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    if _bits(after) < _bits(before):
        message = f"Its key ({key_words(after)}) is weaker than that of {label} ({key_words(before)})."
        yield CertificateDifference(DifferenceCode.WEAKER, message, Severity.WARNING)
    elif _family(before) != _family(after):
        message = f"Its key is {key_words(after)}, that of {label} is {key_words(before)}."
        yield CertificateDifference(DifferenceCode.KEY_TYPE, message, Severity.NOTE)
    if has_weak_signature(after) and not has_weak_signature(before):
        message = f"Its signature ({after.signature_hash}) is weaker than that of {label}."
        yield CertificateDifference(DifferenceCode.WEAKER, message, Severity.WARNING)


def _purposes(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    lost = [
        name
        for name, had, has in (
            ("serverAuth", _may(before, before.server_auth_usage), _may(after, after.server_auth_usage)),
            ("clientAuth", _may(before, before.client_auth_usage), _may(after, after.client_auth_usage)),
        )
        if had and not has
    ]
    if lost:
        # the caller knows whether the slot needs it
        message = f"Its extended key usage lacks {' and '.join(lost)}, which {label} has."
        yield CertificateDifference(DifferenceCode.PURPOSE_LOST, message, Severity.NOTE)


def _times(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    """Compare readable times only; an unreadable one is a separate finding."""
    ends_s, ended_s = after.not_after_s, before.not_after_s
    if ends_s is not None and ended_s is not None and ends_s < ended_s - SAME_TIME_S:
        message = f"It ends on {date(ends_s)}, earlier than {label} ({date(ended_s)})."
        yield CertificateDifference(DifferenceCode.ENDS_EARLIER, message, Severity.WARNING)
    lives_s, lived_s = (lifetime_s(each.not_before_s, each.not_after_s) for each in (after, before))
    if lives_s is not None and lived_s is not None and lives_s < lived_s - SAME_TIME_S:
        message = f"It is valid for {_days(lives_s)}, {label} for {_days(lived_s)}."
        yield CertificateDifference(DifferenceCode.SHORTER_LIFETIME, message, Severity.NOTE)


def _key_reuse(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    if before.public_key_id == after.public_key_id and before != after:
        yield CertificateDifference(DifferenceCode.KEY_REUSED, f"Its key is that of {label}.", Severity.NOTE)


def _rest(before: Certificate, after: Certificate, label: str) -> Iterator[CertificateDifference]:
    if before.subject_id != after.subject_id:
        message = f"Its subject is {after.raw_subject or 'empty'}, that of {label} is {before.raw_subject or 'empty'}."
        yield CertificateDifference(DifferenceCode.SUBJECT, message, Severity.NOTE)
    if before.issuer_id != after.issuer_id:
        message = f"Its issuer is {after.raw_issuer or 'unknown'}, that of {label} is {before.raw_issuer or 'unknown'}."
        yield CertificateDifference(DifferenceCode.ISSUER, message, Severity.NOTE)


def key_words(certificate: Certificate) -> str:
    """Return a key's type and size in words."""
    kind = certificate.key_type or "unknown"
    return f"{kind} {certificate.key_bits}" if kind == "RSA" else kind


def _family(certificate: Certificate) -> str:
    return certificate.key_type.partition(" ")[0]


def _bits(certificate: Certificate) -> int:
    """Return a key's strength in bits (NIST SP 800-57 part 1, table 2), in its coarse steps."""
    size = certificate.key_bits
    if _family(certificate) in {"RSA", "DSA"}:
        steps = ((15360, 256), (7680, 192), (3072, 128), (2048, 112), (1024, 80))
        return next((bits for least, bits in steps if size >= least), 0)
    return size // 2


def _may(certificate: Certificate, named: bool) -> bool:  # noqa: FBT001 - one flag, and its meaning
    return certificate.extended_usages is None or named


def _days(lived_s: int) -> str:
    return counted(round(lived_s / DAY_S), "day")
