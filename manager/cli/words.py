"""Names, times and spans as people read them on a terminal.

Pure.
"""

import datetime as dt
from typing import TYPE_CHECKING, Final, Protocol

from common.pki.expiry import UNREADABLE

if TYPE_CHECKING:
    from common.api.certificates import CertificateAnswer
    from common.api.signing_requests import RequestAnswer
    from common.api.trust import BuiltinCa, TrustedCaAnswer
    from common.api.values import Unreadable

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400


def display_name(each: "CertificateAnswer | RequestAnswer | TrustedCaAnswer | BuiltinCa") -> str:
    """Return a short name; without a subject, the first alternative name, except for trusted CAs."""
    return next(
        filter(None, (each.subject_name, each.raw_subject, *getattr(each, "subject_alt_names", ()))), "-"
    )


def span(seconds: float) -> str:
    """Return a span in its one or two largest units, as `3 d 4 h` or `12 s`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        hours, rest_s = divmod(whole, _HOUR_S)
        return f"{hours} h {rest_s // _MINUTE_S} min" if rest_s >= _MINUTE_S else f"{hours} h"
    days, rest_s = divmod(whole, _DAY_S)
    return f"{days} d {rest_s // _HOUR_S} h" if days < 10 and rest_s >= _HOUR_S else f"{days} d"


def ago(at_s: float | None, now_s: float) -> str:
    """Say how long ago something was."""
    return "never" if at_s is None else f"{span(now_s - at_s)} ago"


class Dated(Protocol):
    """An API answer with a certificate's end."""

    @property
    def not_after_s(self) -> int:
        """Return the end."""

    @property
    def unreadable(self) -> "Unreadable":
        """Return the names of the moments that could not be read."""


def end_of(each: Dated) -> int | None:
    """Return when a certificate ends, None if unreadable."""
    return None if "not_after" in each.unreadable else each.not_after_s


def until(at_s: float | None, now_s: float) -> str:
    """Say how long something is still good for."""
    if at_s is None:
        return UNREADABLE
    return f"in {span(at_s - now_s)}" if at_s > now_s else f"expired {span(now_s - at_s)} ago"


def moment(at_s: float | None, absent: str = "-") -> str:
    """Write a moment in UTC, to the second."""
    if at_s is None:
        return absent
    try:
        moment_utc = dt.datetime.fromtimestamp(at_s, dt.UTC)
    except (OverflowError, ValueError, OSError):  # outside of years 1 to 9999
        return f"{at_s:.0f} s"
    return f"{moment_utc:%Y-%m-%d %H:%M:%S}Z"


def short(fingerprint: str | None) -> str:
    """Return the first eight digits of a fingerprint, `-` for none."""
    return fingerprint[:8] if fingerprint else "-"
