"""Moments at which to renew a certificate, and to ask its CA for its renewal window again (RFC 9773).

Decides by the CA's window, otherwise by the remaining lifetime. Pure, and without random numbers: the jitter
is derived from the certificate's fingerprint, so that every manager computes the same moment, before and
after a restart. Invariant: a certificate's moment moves only with its CA's window.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from common.ids import Fingerprint
from common.pki.expiry import DAY_S, SHORT_LIFE_S, lifetime_s
from common.words import date, span_of

ASKED_AGAIN_S: Final = 6 * 3600.0
"""Time until a CA that names no interval is asked again."""

ASKED_LEAST_S: Final = 60.0
ASKED_MOST_S: Final = 11 * 3600.0
"""Bounds for the interval that a CA names: at least twice a day, and never in a tight loop.

With jitter the longest is 12 hours.
"""

JITTER: Final = 0.08
"""Largest share of the interval that is added, so that requests for certificates of the same hour spread out."""

ASKED_WAIT_MOST_S: Final = ASKED_MOST_S * (1 + JITTER)
"""Longest time between two requests for a certificate's window."""

LEFT_LEAST: Final = 1 / 10
"""Share of the lifetime that must be left at renewal, whatever the CA suggests: failures need time for retries."""

WINDOW_LADDER_S: Final = (3600.0, 6 * 3600.0, float(DAY_S), 2.0 * DAY_S)
"""Time for which windows are ignored after a certificate was renewed.

The entries apply after a renewal at its ordinary time, and after the first, second and each further early one
within WINDOW_COUNTED_S. A CA whose windows are always in the past would otherwise have to sign one
certificate after the other. After a revocation the CA's window is obeyed within the hour.
"""

EARLY_SHARE: Final = 1 / 10
"""Least share left of the time until a certificate is due without a window, for a renewal to count as early.

Ordinary windows lie around that due moment.
"""

WINDOW_COUNTED_S: Final = 7.0 * DAY_S

LIFE_LEAST_S: Final = 2 * 3600.0
"""Least remaining lifetime of a new certificate: a shorter one leaves no time for its renewal and for failures."""

SPREAD: Final = 1 / 30
"""Share of their lifetime over which renewals of certificates of one day are spread, without a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Window in which a CA suggests to renew a certificate, in unix seconds; one in the past means at once."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The data that determine a certificate's moment: its first and last second, and its fingerprint."""

    not_before_s: int | None
    not_after_s: int | None
    fingerprint: Fingerprint

    @property
    def share(self) -> float:
        """A number from 0 to below 1 that looks random but is constant for this certificate."""
        return int(self.fingerprint[:13], 16) / 16**13


def renewed_s(validity: Validity, *, window: Window | None, window_from_s: float = 0.0) -> float | None:
    """Return when to renew a certificate; None if its validity cannot be read and its CA suggests nothing.

    With a window it is the moment at the certificate's share of it, but at least a tenth of the lifetime
    before the end. Without one it is when a third of the lifetime is left (half of a lifetime under ten
    days), or up to a thirtieth of the lifetime before that. A window does not make it earlier than
    `window_from_s`.
    """
    life_s, ends_s = lifetime_s(validity.not_before_s, validity.not_after_s), validity.not_after_s
    suggested_s = None if window is None else _within(window, validity)
    if life_s is None or ends_s is None:
        return suggested_s
    left_s = life_s / (2 if life_s < SHORT_LIFE_S else 3)
    unasked_s = ends_s - left_s - validity.share * life_s * SPREAD
    if suggested_s is None:
        return unasked_s
    return min(max(suggested_s, min(window_from_s, unasked_s)), ends_s - life_s * LEFT_LEAST)


def is_early(validity: Validity, at_s: float) -> bool:
    """Whether a certificate replaced at this time was far from due without a window; True if unknown."""
    due_s, begins_s = renewed_s(validity, window=None), validity.not_before_s
    if due_s is None or begins_s is None:
        return True
    return at_s < due_s - (due_s - begins_s) * EARLY_SHARE


def window_from_s(early_s: Iterable[float], *, now_s: float) -> float:
    """Return from when on windows count for a certificate taken into use now.

    `early_s` are the times of early renewals, including this one.
    """
    count = sum(1 for each in early_s if each > now_s - WINDOW_COUNTED_S)
    return now_s + WINDOW_LADDER_S[min(count, len(WINDOW_LADDER_S) - 1)]


def why_too_short(validity: Validity, *, now_s: float) -> str:
    """Say why a certificate's remaining lifetime is too short to use it, "" if it is long enough."""
    ends_s, renewed = validity.not_after_s, renewed_s(validity, window=None)
    if ends_s is None or renewed is None:
        return ""
    if ends_s - now_s < LIFE_LEAST_S:
        return f"it ends on {date(ends_s)}, in less than {span_of(LIFE_LEAST_S)}"
    if renewed <= now_s:
        return f"it ends on {date(ends_s)}, so it would have to be renewed again at once; check whether this manager's clock is ahead"
    return ""


def _within(window: Window, validity: Validity) -> float:
    return window.start_s + validity.share * max(0.0, window.end_s - window.start_s)


def counting(known: Window | None, suggested: Window, validity: Validity, *, now_s: float) -> Window:
    """Return the window that counts: the latest, unless the certificate is due by the known one and the latest.

    Boulder always suggests the past hour for a revoked certificate. A moment that moved along would never be
    long ago.
    """
    if known is None or _within(known, validity) > now_s or _within(suggested, validity) > now_s:
        return suggested
    return known


def poll_at_s(validity: Validity, *, now_s: float, retry_after_s: float | None) -> float:
    """Return when to ask for the window again; `retry_after_s` is the wait that the CA asked for, if any."""
    wait_s = ASKED_AGAIN_S if retry_after_s is None else retry_after_s
    bounded_s = min(max(wait_s, ASKED_LEAST_S), ASKED_MOST_S)
    return now_s + bounded_s * (1 + JITTER * validity.share)


def ari_id(key_id: str | None, serial_no: str) -> str | None:
    """Return a certificate's identifier in renewal information (RFC 9773 4.1), None if it cannot have one.

    A certificate has none if it does not name its issuer's key, or if its serial number is negative (RFC 5280
    4.1.2.2 requires a positive one; some are not) or unreadable. `key_id` is the authority key identifier as
    colon hex. `serial_no` is hex with an even number of digits, with "-" before a negative one, "" if
    unreadable.
    """
    if not key_id or not serial_no or serial_no.startswith("-"):
        return None
    serial = bytes.fromhex(serial_no)
    if serial[0] & 0x80:
        # keep the number positive in DER, where the first bit is the sign
        serial = b"\0" + serial
    return f"{_base64url(bytes.fromhex(key_id.replace(':', '')))}.{_base64url(serial)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


LADDER_S: Final = (300.0, 3600.0, 6 * 3600.0, float(DAY_S))
"""Back-off after the first, second, third and each further failure in a row."""


REST_MOST_S: Final = 30.0 * DAY_S
"""Longest wait that a CA may ask for: rate limits are counted over a week at most."""


REST_SHARE: Final = 8
"""Divisor of a certificate's remaining lifetime for the longest back-off, which is at least an hour.

A day is too long for a certificate of six days.
"""


SIGNED_REST_SHARE: Final = 2
"""The same divisor after a signed certificate was refused here.

Let's Encrypt signs five certificates with the same names a week, and the user who fixes the cause needs one.
"""


def retry_at_s(
    failures: int, *, now_s: float, not_before_s: float | None, ends_s: float | None, is_signed: bool = False
) -> float:
    """Return when to retry a renewal after this number of failures in a row (from 1), not before the CA allows it.

    `ends_s` is the end of the certificate to be replaced, None if unknown. `is_signed` means that a signed
    certificate was refused here: it backs off longest at once, even after that end, so that the few
    certificates that a CA signs are not used up within hours.
    """
    rest_s = LADDER_S[-1] if is_signed else LADDER_S[min(max(failures, 1), len(LADDER_S)) - 1]
    if ends_s is not None and not (is_signed and ends_s <= now_s):
        share = SIGNED_REST_SHARE if is_signed else REST_SHARE
        rest_s = min(rest_s, max(LADDER_S[1], (ends_s - now_s) / share))
    rested_s = now_s + rest_s
    return rested_s if not_before_s is None else max(rested_s, not_before_s)
