"""Attempts that can be repeated as often as somebody likes, counted until they are written into the audit log.

Decides what is remembered of them. Pure. Invariant: what is remembered and what is told of an interval is bounded, however many
attempts there were and from wherever they came; none is left out of the sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

PAIRS_MAX: Final = 1_000
"""Pairs of user and source that are counted apart within an interval, of each kind; 300 bytes each at most."""

NAMED_MAX: Final = 20
"""Pairs that one entry of the audit log names, those with the most attempts; it stays below 8 KiB."""

TEXT_MAX: Final = 150
"""Characters of a name or source that are kept; what a stranger sends as a name may be of any length."""


class Attempt(StrEnum):
    """What was tried; the name of the act in the audit log."""

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
"""What the names are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The attempts of one kind within an interval: who was named (`only_name`, "" if not just one was), and the details for the audit log."""

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
    """Counts by kind, the name that was given, and the source. Times are unix seconds, and only shown."""

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
        """Return a summary of each kind that there was, and begin again."""
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
