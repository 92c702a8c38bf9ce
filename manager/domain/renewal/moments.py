"""Moments at which a certificate is to be renewed, and its CA to be asked for that again (RFC 9773).

Decides by what the CA suggests, else by how much of the lifetime is left. Pure, and draws nothing: what is random in it is a share of the
certificate's own, so that every manager finds the same moment, before and after a restart. Invariant: a moment of a certificate moves only
with its CA's window.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from common.ids import Fingerprint
from common.pki.expiry import DAY_S, SHORT_LIFE_S, lifetime_s
from common.words import date, span_of

ASKED_AGAIN_S: Final = 6 * 3600.0
"""How soon a CA is asked again that does not say when."""

ASKED_LEAST_S: Final = 60.0
ASKED_MOST_S: Final = 11 * 3600.0
"""What is obeyed of what a CA says: at least twice a day it is asked, and never in a tight circle. With the jitter these are 12 hours."""

JITTER: Final = 0.08
"""By which share of the wait a certificate is asked about later, so that those of one hour come apart."""

ASKED_WAIT_MOST_S: Final = ASKED_MOST_S * (1 + JITTER)
"""For how long no CA is not asked about a certificate."""

LEFT_LEAST: Final = 1 / 10
"""Which share of the lifetime is left at the latest, whatever its CA suggests: what fails then must have time to be tried again."""

WINDOW_LADDER_S: Final = (3600.0, 6 * 3600.0, float(DAY_S), 2.0 * DAY_S)
"""How long no window counts for a certificate that has just been taken over: after one in its time, and the first, second and each further early one within WINDOW_COUNTED_S. A CA whose windows have
always passed would be asked for one certificate after the other; one that revokes is obeyed within the hour."""

EARLY_SHARE: Final = 1 / 10
"""Which share of the time until a certificate is due without a window is left, at least, for a renewal to be early: the windows of ordinary times lie about that moment."""

WINDOW_COUNTED_S: Final = 7.0 * DAY_S

LIFE_LEAST_S: Final = 2 * 3600.0
"""What ends sooner is not taken into use: there would be no time to renew it again, least of all if something fails."""

SPREAD: Final = 1 / 30
"""Without a window: over which share of their lifetime certificates of one day are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a CA suggests to renew a certificate, in unix seconds; one that has passed says at once."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """What a moment is found by: a certificate's first and last second, and its fingerprint."""

    not_before_s: int | None
    not_after_s: int | None
    fingerprint: Fingerprint

    @property
    def share(self) -> float:
        """A number from 0 to below 1 that looks drawn, and is this certificate's for good."""
        return int(self.fingerprint[:13], 16) / 16**13


def renewed_s(validity: Validity, *, window: Window | None, window_from_s: float = 0.0) -> float | None:
    """Return when a certificate is to be renewed; None where its validity cannot be read and its CA suggests nothing.

    In the CA's window it is the moment at the certificate's share, and never so late that less than a tenth of the lifetime is left. Else it is when a third of the lifetime is left, half of less than ten days, or up
    to a thirtieth of the lifetime before that. Before `window_from_s` a window brings no earlier moment than that.
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
    """Whether a certificate that was replaced then was far from being due without a window, or that cannot be told."""
    due_s, begins_s = renewed_s(validity, window=None), validity.not_before_s
    if due_s is None or begins_s is None:
        return True
    return at_s < due_s - (due_s - begins_s) * EARLY_SHARE


def window_from_s(early_s: Iterable[float], *, now_s: float) -> float:
    """Return from when on a window counts for a certificate that is taken over now; `early_s` are the moments of early ones, this one included."""
    count = sum(1 for each in early_s if each > now_s - WINDOW_COUNTED_S)
    return now_s + WINDOW_LADDER_S[min(count, len(WINDOW_LADDER_S) - 1)]


def why_too_short(validity: Validity, *, now_s: float) -> str:
    """Say why a certificate lasts too short to be taken into use, "" if it does not."""
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
    """Return which window counts: the one that was suggested last, unless it was time by the known one, and is by this one too.

    Boulder suggests the past hour for a revoked certificate whenever it is asked. A moment that moves along would never be long ago.
    """
    if known is None or _within(known, validity) > now_s or _within(suggested, validity) > now_s:
        return suggested
    return known


def poll_at_s(validity: Validity, *, now_s: float, retry_after_s: float | None) -> float:
    """Return when to ask for the window again; `retry_after_s` is how long the CA asked to wait, None if it did not."""
    wait_s = ASKED_AGAIN_S if retry_after_s is None else retry_after_s
    bounded_s = min(max(wait_s, ASKED_LEAST_S), ASKED_MOST_S)
    return now_s + bounded_s * (1 + JITTER * validity.share)


def ari_id(key_id: str | None, serial_no: str) -> str | None:
    """Return by what a CA knows a certificate in its renewal information (RFC 9773 4.1), None for one that it knows by nothing.

    That is one which does not name its issuer's key, or whose serial number is negative (RFC 5280 4.1.2.2 wants it positive; some are not), or not read.
    `key_id` is the authority key identifier as colon hex, `serial_no` hex with an even number of digits, "-" before a negative one, "" if not read.
    """
    if not key_id or not serial_no or serial_no.startswith("-"):
        return None
    serial = bytes.fromhex(serial_no)
    if serial[0] & 0x80:
        # a positive number in DER, whose first bit would be its sign
        serial = b"\0" + serial
    return f"{_base64url(bytes.fromhex(key_id.replace(':', '')))}.{_base64url(serial)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


LADDER_S: Final = (300.0, 3600.0, 6 * 3600.0, float(DAY_S))
"""How long a renewal rests after its first, second, third and each further failure in a row."""


REST_MOST_S: Final = 30.0 * DAY_S
"""What is obeyed of how long a CA asks to wait: rate limits are counted over a week, or less."""


REST_SHARE: Final = 8
"""Of what is left of a certificate's time no rest takes more than an eighth, but an hour where that is less: a day's rest is too long for one of six days."""


SIGNED_REST_SHARE: Final = 2
"""The same of a rest after a certificate that was refused once it was signed: Let's Encrypt signs five of the same names a week, and whoever mends
the cause needs one of them."""


def retry_at_s(
    failures: int, *, now_s: float, not_before_s: float | None, ends_s: float | None, is_signed: bool = False
) -> float:
    """Return when a renewal that has failed so often in a row (from 1) is tried again: not before its CA allows it.

    `ends_s` is the end of the certificate that it is to replace, None if that is not known. What `is_signed` and was refused here rests for the
    longest at once, also once that certificate has ended: the few that a CA signs are not used up in hours.
    """
    rest_s = LADDER_S[-1] if is_signed else LADDER_S[min(max(failures, 1), len(LADDER_S)) - 1]
    if ends_s is not None and not (is_signed and ends_s <= now_s):
        share = SIGNED_REST_SHARE if is_signed else REST_SHARE
        rest_s = min(rest_s, max(LADDER_S[1], (ends_s - now_s) / share))
    rested_s = now_s + rest_s
    return rested_s if not_before_s is None else max(rested_s, not_before_s)
