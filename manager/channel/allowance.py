"""Message allowance: how often one node may connect, and how much it may send, over all of its connections.

Token buckets decide: one per kind of message, one for bytes, one for connections. A node that exceeds one
rests, longer each time. Every `now_s` is monotonic seconds. Invariant: these rates bound the work, writes and
log lines that a node can cause, whatever it sends; and each rate is at least four times the need of an agent
that obeys the protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from common.runtime.buckets import Bucket
from common.wire.challenges import ChallengesKept
from common.wire.frames import HEADER_MAX_BYTES
from common.wire.ladder import step_s
from common.wire.messages import Accepted, Hello, Message, Outcome, Progress, Rejected, Tick, Want

CALM_S: Final = 3600.0
"""After this long without a flood, a node's next one counts as its first. This is also the longest rest."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A burst, and a rate per second from then on."""

    burst: float
    per_s: float


CONNECTIONS: Final = Rate(240, 2)
"""An agent that was sent away or lost its connection returns after a second at first, later after half a
minute. If its conversation breaks each time once it is stable (10 s), it connects every ten seconds. Two a
second cost 1.5 % of a core and 1 KB of log.
"""

BYTES: Final = Rate(64 * HEADER_MAX_BYTES, 4 * HEADER_MAX_BYTES)
"""The largest possible message four times a second; an ordinary report has 2 KB."""

MESSAGES: Final[Mapping[type[Message], Rate]] = MappingProxyType(
    {
        # one per connection, which has a rate already
        Hello: Rate(CONNECTIONS.burst, CONNECTIONS.per_s),
        # one a minute, and at most one a second while the results of its service probes keep changing
        Tick: Rate(240, 4),
        # one per offer; changes are gathered for half a second, and an operator may also push by hand
        Want: Rate(240, 4),
        Accepted: Rate(240, 4),
        Rejected: Rate(120, 2),
        # one per phase, consumer or endpoint: some 200 in a large installation, which takes seconds
        Progress: Rate(2000, 50),
        # one per installation, which takes seconds, and one unacknowledged outcome after each reconnect
        Outcome: Rate(120, 2),
        # one per set, which are gathered for half a second, and at most one a minute while a fault appears or
        # clears
        ChallengesKept: Rate(240, 4),
    }
)
"""The rate of each kind of message that an agent may send."""


class Allowance:
    """The remaining allowance of one node: a bucket per kind of message, and the rest after a flood."""

    __slots__ = ("_bytes", "_connections", "_exceeded_s", "_kinds", "_rest_until_s", "_strikes")

    def __init__(self, now_s: float) -> None:
        self._connections = _bucket(CONNECTIONS, now_s)
        self._bytes = _bucket(BYTES, now_s)
        self._kinds: dict[type[Message], Bucket] = {}
        self._rest_until_s = float("-inf")
        self._exceeded_s = float("-inf")
        self._strikes = 0

    def take_connection(self, now_s: float) -> bool:
        """Take a connection; return False if there were too many."""
        return self._connections.take(now_s)

    def take_bytes(self, size_bytes: int, now_s: float) -> bool:
        """Take bytes; return False if there were too many."""
        return self._bytes.take(now_s, size_bytes)

    def take_message(self, kind: type[Message], now_s: float) -> bool:
        """Take a message of a kind; return False if there were too many.

        Kinds that agents do not send have no limit.
        """
        if kind not in MESSAGES:
            return True
        bucket = self._kinds.get(kind)
        if bucket is None:
            bucket = self._kinds[kind] = _bucket(MESSAGES[kind], now_s)
        return bucket.take(now_s)

    def suspend(self, now_s: float) -> float:
        """Record a flood; return how long the node rests."""
        self._strikes = self._strikes + 1 if now_s - self._exceeded_s < CALM_S else 1
        self._exceeded_s = now_s
        rest_s = step_s(self._strikes)
        self._rest_until_s = now_s + rest_s
        return rest_s

    def rest_s(self, now_s: float) -> float:
        """Return how much longer the node rests, 0 if it may go on."""
        return max(0.0, self._rest_until_s - now_s)

    def is_calm(self, now_s: float) -> bool:
        """Whether the rest after the last flood ended at least its own length ago."""
        return now_s >= self._rest_until_s + (self._rest_until_s - self._exceeded_s)


def _bucket(rate: Rate, now_s: float) -> Bucket:
    return Bucket(burst=rate.burst, per_s=rate.per_s, now_s=now_s)
