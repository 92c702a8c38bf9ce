"""Status of a certificate in lists, named exactly as in the specification; "Validity unreadable" is ours.

Decides which statuses apply and which leads (the specification's "Viewing or modifying existing TLS
certificates"). `lint` has further findings. Invariant: there is always at least one status, and Good is
always alone.
"""

from dataclasses import dataclass

from common.codes import StatusCode
from common.pki.certificate import Certificate
from common.pki.expiry import DAY_S, Nearness, lifetime_s, nearness
from common.pki.path import has_weak_signature
from common.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One status. `text` is shown to people; `days_left` is whole days, and only set with EXPIRING."""

    code: StatusCode
    text: str
    days_left: int | None = None


_GOOD = Status(code=StatusCode.GOOD, text="Good")
_UNREADABLE = Status(code=StatusCode.UNREADABLE, text="Validity unreadable")
_EXPIRED = Status(code=StatusCode.EXPIRED, text="Expired")
_TEMPORARY = Status(code=StatusCode.TEMPORARY, text="Temporary")
_WEAK = Status(code=StatusCode.WEAK_SIGNATURE, text="Weak signature")
_EMPTY = Status(code=StatusCode.EMPTY_SUBJECT, text="Empty subject")


def is_temporary(certificate: Certificate) -> bool:
    """Whether this is a temporary, self-signed TLS certificate.

    It cannot be downloaded and is not trusted.
    """
    return certificate.is_self_signed


def nearness_of(certificate: Certificate, *, now_s: int, trusted_ca: bool = False) -> Nearness:
    """Return how near the end is.

    Of a TLS certificate by its lifetime, of a trusted CA by the specification's days.
    """
    if trusted_ca:
        return nearness(certificate.not_after_s, now_s=now_s)
    life_s = lifetime_s(certificate.not_before_s, certificate.not_after_s)
    return nearness(certificate.not_after_s, now_s=now_s, life_s=life_s)


def statuses(certificate: Certificate, *, now_s: int, trusted_ca: bool = False) -> tuple[Status, ...]:
    """Return every status that applies, the leading one first.

    A trusted CA is not Temporary because it signed itself, nor weak because of that signature.
    """
    found: list[Status] = []
    if certificate.not_before_s is None or certificate.not_after_s is None:
        found.append(_UNREADABLE)
    near, ends_s = (
        nearness_of(certificate, now_s=now_s, trusted_ca=trusted_ca),
        certificate.not_after_s,
    )
    if near is Nearness.OVER:
        found.append(_EXPIRED)
    elif near in {Nearness.ALARM, Nearness.SOON} and ends_s is not None:
        days = (ends_s - now_s) // DAY_S
        found.append(Status(code=StatusCode.EXPIRING, text=_time_left(ends_s, now_s), days_left=days))
    if not trusted_ca and is_temporary(certificate):
        found.append(_TEMPORARY)
    if has_weak_signature(certificate) and not (trusted_ca and certificate.is_self_signed):
        found.append(_WEAK)
    if not certificate.raw_subject and "subject" not in certificate.undecodable:
        found.append(_EMPTY)
    return tuple(found) or (_GOOD,)


def _time_left(not_after_s: int, now_s: int) -> str:
    """Describe the whole days left, or if there is less than one, the day (in UTC) on which it ends."""
    days = (not_after_s - now_s) // DAY_S
    if days:
        return f"{counted(days, 'day')} left"
    return "Expires today" if not_after_s // DAY_S == now_s // DAY_S else "Expires tomorrow"


def status_of(certificate: Certificate, *, now_s: int, trusted_ca: bool = False) -> Status:
    """Return the leading status."""
    return statuses(certificate, now_s=now_s, trusted_ca=trusted_ca)[0]
