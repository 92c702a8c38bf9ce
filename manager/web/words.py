"""Wording of the pages: states, statuses, moments, durations.

Pure. Invariant: everything shown by a colour is also shown by a word and a shape.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from markupsafe import Markup

from common.api.codes import ChainState, KeyKind, Role, State, StatusCode
from common.explained.meanings import NODE_STATES
from common.pki.expiry import UNREADABLE
from common.pki.finding import Severity, by_severity
from common.release import VERSION
from common.words import counted, span_of
from manager.domain.consequences import Consequence, ConsequenceCode
from manager.pki.chain.chain import PROBLEM_WORDS

Kind = Literal["ok", "info", "wait", "warn", "bad", "off"]
"""A level of quality; each has its own colour and shape."""

_STATE_KINDS: Final[Mapping[State, Kind]] = MappingProxyType(
    {
        "in_sync": "ok",
        "installing": "wait",
        "pending": "wait",
        "failed": "bad",
        "not_serving": "bad",
        "drifted": "warn",
        "reload_waiting": "wait",
        "scheduled": "wait",
        "conflict": "bad",
        "offline": "off",
        "never_joined": "off",
    }
)

STATES: Final[Mapping[State, tuple[Kind, str, str]]] = MappingProxyType(
    {state: (kind, *NODE_STATES[state]) for state, kind in _STATE_KINDS.items()}
)
"""Kind, words and meaning, in the order of the pages. Every state has its own."""

STATUS_KINDS: Final[Mapping[StatusCode, Kind]] = MappingProxyType(
    {
        StatusCode.GOOD: "ok",
        StatusCode.UNREADABLE: "bad",
        StatusCode.EXPIRING: "warn",
        StatusCode.EXPIRED: "bad",
        StatusCode.TEMPORARY: "info",
        StatusCode.WEAK_SIGNATURE: "bad",
        StatusCode.EMPTY_SUBJECT: "warn",
    }
)

SEVERITY_KINDS: Final[Mapping[Severity, Kind]] = MappingProxyType(
    {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "info"}
)

HEADLINE_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {StatusCode.GOOD: "ok", StatusCode.TEMPORARY: "info"}
)
"""Headlines with a colour other than their severity's."""

CHAIN_WORDS: Final[Mapping[ChainState, tuple[Kind, str]]] = MappingProxyType(
    {
        ChainState.COMPLETE: ("ok", "Complete"),
        ChainState.SELF_SIGNED: ("info", "Self-signed"),
        ChainState.WEAK: ("warn", "Weak"),
        ChainState.NOT_YET_VALID: ("warn", "Not yet valid"),
        ChainState.EXPIRED: ("bad", "Expired"),
        ChainState.INVALID: ("bad", "Invalid"),
        ChainState.UNTRUSTED: ("bad", "Untrusted root"),
        ChainState.INCOMPLETE: ("bad", "Incomplete"),
        ChainState.UNDETERMINED: ("warn", "Not determined"),
    }
)


NEW_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        KeyKind.ECDSAP256: "a new ECDSA P-256 key",
        KeyKind.ECDSAP384: "a new ECDSA P-384 key",
        KeyKind.RSA2048: "a new RSA key of 2048 bits",
        KeyKind.RSA4096: "a new RSA key of 4096 bits (takes seconds)",
    }
)


class Placed(str):
    """Words that begin with the name of a file or field, which is shown unchanged."""

    __slots__ = ()


def sentence(text: str) -> str:
    """Return an error's text as a sentence of a page."""
    if not text:
        return ""
    first = text[0] if isinstance(text, Placed) else text[0].upper()
    return first + text[1:] + ("" if text[-1] in ".!?)" else ".")


def moment(seconds: float | None, absent: str = "never") -> Markup:
    """Format a moment in UTC, for the script to convert to the viewer's time zone."""
    return _time(seconds, absent, Markup('<time datetime="{}">{}</time>'), "%Y-%m-%d %H:%M UTC")


def day(seconds: float | None) -> Markup:
    """Format a day, with the moment as the machine-readable value. None: the certificate's is unreadable."""
    return _time(seconds, UNREADABLE, Markup('<time class="day" datetime="{}">{}</time>'), "%Y-%m-%d")


def _time(seconds: float | None, absent: str, element: Markup, shown: str) -> Markup:
    if seconds is None:
        return Markup('<span class="quiet">{}</span>').format(absent)
    try:
        utc = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return Markup('<span class="quiet">{}</span>').format("beyond the calendar")
    return element.format(utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime(shown))


def span(seconds: float) -> str:
    """Format a duration in its largest unit: `3 days`, `1 hour`, `0.4 seconds`."""
    if seconds < 0.1:
        return "under 0.1 seconds"
    if seconds < 10:
        return f"{seconds:.1f} seconds"
    return span_of(seconds)


def brief(seconds: float) -> str:
    """Format a duration in figures: `0.04 s`, `12 s`, `3 minutes`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    return span(seconds)


def from_now(seconds: float | None, now_s: float) -> str:
    """Format the distance to a moment: `in 12 days`, `3 hours ago`, `now`; "" for an unknown one."""
    if seconds is None:
        return ""
    away = seconds - now_s
    if abs(away) < 1:
        return "now"
    return f"in {span(away)}" if away > 0 else f"{span(-away)} ago"


def plural(count: int, one: str, many: str = "") -> str:
    """Format a count: `1 node`, `3 nodes`."""
    return counted(count, one, many)


_NOTED: Final = frozenset((ConsequenceCode.CHAIN_KEPT, ConsequenceCode.NOT_SERVED, ConsequenceCode.LEFT_OUT))


def with_notes(sentence: str, consequences: Iterable[Consequence]) -> str:
    """Add to a sentence the harmless consequences, which need no confirmation."""
    notes = [each.message for each in consequences if each.code in _NOTED]
    return " ".join([sentence, *notes])


def short(fingerprint: str | None) -> str:
    """Return the beginning of a fingerprint, enough to tell two apart."""
    return fingerprint[:12] if fingerprint else ""


GLOBALS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "STATES": STATES,
        "STATUS_KINDS": STATUS_KINDS,
        "CHAIN_WORDS": CHAIN_WORDS,
        "PROBLEM_WORDS": PROBLEM_WORDS,
        "SEVERITY_KINDS": SEVERITY_KINDS,
        "HEADLINE_KINDS": HEADLINE_KINDS,
        "VERSION": VERSION,
        "OPERATOR": Role.OPERATOR,
        "ADMINISTRATOR": Role.ADMINISTRATOR,
    }
)
"""The globals of every template."""

FILTERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "sentence": sentence,
        "worst_first": by_severity,
        "moment": moment,
        "day": day,
        "span": span,
        "brief": brief,
        "from_now": from_now,
        "plural": plural,
        "short": short,
    }
)
