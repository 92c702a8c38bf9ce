"""Expiry rules: when a certificate's end is near enough to be shown, and near enough for an alarm.

Decides by the certificate's lifetime, for lists, alarms, metrics, pages and the node's own check.
Invariant: a certificate with an alarm is shown as expiring; for a trusted CA only the days count, as the specification
says.
"""

from enum import StrEnum
from fractions import Fraction
from typing import Final

DAY_S: Final = 86_400

EXPIRING_DAYS: Final = 60
"""The specification: "<n> days left: when the certificate is due to expire within the next 60 days"."""

ALARM_DAYS: Final = 30
"""The specification's "Alarms": due to expire within the next 30 days."""

LONG_LIFE_S: Final = 90 * DAY_S
"""From this lifetime on the specification's days hold: 60 and 30 of 90 days are two thirds and one third of it."""

SHORT_LIFE_S: Final = 10 * DAY_S
"""Below this lifetime clients renew when half of it is left (RFC 9773 leaves it to the CA; ACME clients do so), not a third."""


UNREADABLE: Final = "unreadable"
"""Shown in place of a time that cannot be read."""

NO_DATE_S: Final = 0
"""Stands for an unreadable moment in contracts that have room for numbers only: manifests, agents' reports, the APIs. No certificate in use ends in the first second of
1970; one may begin then, so a beginning is never taken back from such a number."""


def as_number(moment_s: int | None) -> int:
    """Return a moment for a contract that has room for numbers only."""
    return moment_s if moment_s is not None else NO_DATE_S


def from_number(moment_s: int) -> int | None:
    """Return a moment of such a contract; None where it is not known."""
    return moment_s if moment_s != NO_DATE_S else None


class Nearness(StrEnum):
    """How near a certificate's end is. UNKNOWN if it cannot be read, so neither past nor future."""

    OVER = "over"
    ALARM = "alarm"
    SOON = "soon"
    CALM = "calm"
    UNKNOWN = "unknown"


def lifetime_s(not_before_s: int | None, not_after_s: int | None) -> int | None:
    """Return a certificate's lifetime, None if unreadable. It includes the second of notAfter (RFC 5280 4.1.2.5)."""
    if not_before_s is None or not_after_s is None:
        return None
    return not_after_s - not_before_s + 1


def shown_s(life_s: int) -> Fraction:
    """Return the remaining time below which a certificate of this lifetime is shown as expiring."""
    return Fraction(EXPIRING_DAYS * DAY_S) if life_s >= LONG_LIFE_S else Fraction(2 * life_s, 3)


def alarm_s(life_s: int) -> Fraction:
    """Return the remaining time below which a certificate of this lifetime has an alarm."""
    if life_s >= LONG_LIFE_S:
        return Fraction(ALARM_DAYS * DAY_S)
    return Fraction(life_s, 2 if life_s < SHORT_LIFE_S else 3)


def nearness(not_after_s: int | None, *, now_s: float, life_s: int | None = LONG_LIFE_S) -> Nearness:
    """Tell how near the end is; without a lifetime, or with one that cannot be read, by the specification's days."""
    if not_after_s is None:
        return Nearness.UNKNOWN
    life_s = life_s if life_s is not None else LONG_LIFE_S
    left_s = not_after_s - now_s
    if left_s < 0:
        return Nearness.OVER
    if left_s <= alarm_s(life_s):
        return Nearness.ALARM
    return Nearness.SOON if left_s <= shown_s(life_s) else Nearness.CALM
