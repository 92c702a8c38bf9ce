"""Moments as OpenSSL prints them."""

import datetime as dt
import re

from common.pki import der
from common.pki.frame import read_time

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FRACTION = re.compile(rb"\.\d+")


def printed_time(element: der.Element) -> str:
    """Return a UTCTime or GeneralizedTime as in `Jan  1 00:00:00 2026 GMT`."""
    try:
        seconds, _ = read_time(element)
    except der.DerError:
        return "Bad time value"
    when = _EPOCH + dt.timedelta(seconds=seconds)
    fraction = _FRACTION.search(element.content)
    shown = fraction[0].decode() if fraction else ""
    # not strftime: its month names follow the process's locale
    return f"{MONTHS[when.month - 1]} {when.day:2} {when:%H:%M:%S}{shown} {when.year} GMT"
