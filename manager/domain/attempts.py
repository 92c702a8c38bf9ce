"""Attempts that strangers can repeat without limit, counted until they are written into the audit log.

Pure. Decides which details to remember. Invariant: memory and the entry of an interval are bounded, however
many attempts were made and from wherever; the sums include them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

PAIRS_MAX: Final = 1_000
"""Pairs of user and source counted separately within an interval, of each kind; at most 300 bytes each."""

NAMED_MAX: Final = 20
"""Pairs that one entry of the audit log names, those with the most attempts; it stays below 8 KiB."""

TEXT_MAX: Final = 150
"""Characters of a name or source that are kept; a stranger may send a name of any length."""


class Attempt(StrEnum):
    """Kinds of attempts; the values name the acts in the audit log."""

    SIGN_IN_FAILED = "sign_in.failed"
    SIGN_IN_DELAYED = "sign_in.delayed"
    SIGN_IN_REPEATED = "sign_in.repeated"
    JOIN_REFUSED = "join.refused"
    MANAGER_JOIN_REFUSED = "manager_join.refused"
    KEY_ROTATION_REFUSED = "key_rotation.refused"


_KINDS: Final[Mapping[Attempt, str]] = MappingProxyType(
    {
        Attempt.SIGN_IN_FAILED: "user",
        Attempt.SIGN_IN_DELAYED: "user",
        Attempt.SIGN_IN_REPEATED: "user",
        Attempt.JOIN_REFUSED: "node",
        Attempt.MANAGER_JOIN_REFUSED: "manager",
        Attempt.KEY_ROTATION_REFUSED: "node",
    }
)
"""The kinds of the named subjects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The attempts of one kind within an interval, with the details for the audit log.

    `only_name` is the one name used, "" if there were none or several.
    """

    attempt: Attempt
    only_name: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(slots=True)
class _Count:
    attempts: int = 0
    first_s: float = 0.0
    last_s: float = 0.0


class Attempts:
    """Counts by kind, given name and source. Times are unix seconds, for display only."""

    def __init__(self) -> None:
        self._counts: dict[Attempt, dict[tuple[str, str], _Count]] = {}
        self._others: dict[Attempt, int] = {}

    def count(self, attempt: Attempt, *, name: str, source: str, now_s: float) -> None:
        """Count an attempt under this name ("" if none was given) from this source, an address or a network."""
        pairs, pair = self._counts.setdefault(attempt, {}), (name[:TEXT_MAX], source[:TEXT_MAX])
        if pair not in pairs and len(pairs) >= PAIRS_MAX:
            self._others[attempt] = self._others.get(attempt, 0) + 1
            return
        counted = pairs.setdefault(pair, _Count(first_s=now_s))
        counted.attempts += 1
        counted.last_s = now_s

    def take(self) -> Sequence[Summary]:
        """Return a summary of each kind, and start over."""
        found = [_summary(each, pairs, self._others.get(each, 0)) for each, pairs in self._counts.items()]
        self._counts, self._others = {}, {}
        return found


def _summary(attempt: Attempt, pairs: Mapping[tuple[str, str], _Count], others: int) -> Summary:
    most = sorted(pairs.items(), key=lambda each: each[1].attempts, reverse=True)
    named, unnamed = most[:NAMED_MAX], most[NAMED_MAX:]
    names = {name for name, _ in pairs if name}
    kind = _KINDS[attempt]
    only_name = next(iter(names)) if len(names) == 1 and not others else ""
    subject = f"{kind} {only_name}" if only_name else f"{kind}s"
    detail: dict[str, Any] = {
        "attempts": sum(each.attempts for each in pairs.values()) + others,
        "by": [
            {
                "name": name,
                "source": source,
                "attempts": each.attempts,
                "first_s": each.first_s,
                "last_s": each.last_s,
            }
            for (name, source), each in named
        ],
    }
    if unnamed or others:
        detail["more"] = sum(each.attempts for _, each in unnamed) + others
    return Summary(attempt=attempt, only_name=only_name, subject=subject, detail=detail)
