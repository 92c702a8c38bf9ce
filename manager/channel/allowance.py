"""Message allowance: how often one node may connect, and how much it may say, over all of its connections.

Decides by token buckets: one for each kind of message, one for bytes, one for connections. Who takes more than there is rests, longer
each time. Every `now_s` is monotonic seconds. Invariant: what a node can make the manager do, write and log is bounded by these rates,
whatever it sends; and no rate is below four times what an agent that obeys the protocol needs.
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
"""After this long without another flood a node's next one counts as its first: the longest rest there is."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second from then on."""

    burst: float
    per_s: float


CONNECTIONS: Final = Rate(240, 2)
"""An agent that is sent away or loses its connection is back after a second at first, later after half a minute; one whose
conversation breaks each time it is stable (10 s) connects every ten seconds. Two a second cost 1.5 % of a core and 1 KB of log."""

BYTES: Final = Rate(64 * HEADER_MAX_BYTES, 4 * HEADER_MAX_BYTES)
"""The largest message there is four times a second; an ordinary report has 2 KB."""

MESSAGES: Final[Mapping[type[Message], Rate]] = MappingProxyType(
    {
        # one on each connection, and those have their own rate
        Hello: Rate(CONNECTIONS.burst, CONNECTIONS.per_s),
        # one a minute, and one a second at most while what its services show keeps changing
        Tick: Rate(240, 4),
        # one for each offer; changes are gathered for half a second, and an operator may push by hand beside that
        Want: Rate(240, 4),
        Accepted: Rate(240, 4),
        Rejected: Rate(120, 2),
        # a phase, consumer or endpoint each: some 200 in a large installation, which takes seconds
        Progress: Rate(2000, 50),
        # one for each installation, which takes seconds, and one that is owed after each reconnect
        Outcome: Rate(120, 2),
        # one for each set, which are gathered for half a second, and one a minute at most where a fault comes or goes
        ChallengesKept: Rate(240, 4),
    }
)
"""Of each kind of message that an agent may send."""


class Allowance:
    """What one node may still send: buckets by kind of message, and how long it rests after a flood."""

    __slots__ = ("_bytes", "_connections", "_exceeded_s", "_kinds", "_rest_until_s", "_strikes")

    def __init__(self, now_s: float) -> None:
        self._connections = _bucket(CONNECTIONS, now_s)
        self._bytes = _bucket(BYTES, now_s)
        self._kinds: dict[type[Message], Bucket] = {}
        self._rest_until_s = float("-inf")
        self._exceeded_s = float("-inf")
        self._strikes = 0

    def take_connection(self, now_s: float) -> bool:
        """Take a connection; False if there were too many."""
        return self._connections.take(now_s)

    def take_bytes(self, size_bytes: int, now_s: float) -> bool:
        """Take bytes; False if there were too many."""
        return self._bytes.take(now_s, size_bytes)

    def take_message(self, kind: type[Message], now_s: float) -> bool:
        """Take a message of a kind; False if there were too many. A kind without a rate has no limit: agents do not send it."""
        if kind not in MESSAGES:
            return True
        bucket = self._kinds.get(kind)
        if bucket is None:
            bucket = self._kinds[kind] = _bucket(MESSAGES[kind], now_s)
        return bucket.take(now_s)

    def suspend(self, now_s: float) -> float:
        """Note that there was too much; return how long the node rests."""
        self._strikes = self._strikes + 1 if now_s - self._exceeded_s < CALM_S else 1
        self._exceeded_s = now_s
        rest_s = step_s(self._strikes)
        self._rest_until_s = now_s + rest_s
        return rest_s

    def rest_s(self, now_s: float) -> float:
        """Return how much longer the node rests, 0 if it may go on."""
        return max(0.0, self._rest_until_s - now_s)

    def is_calm(self, now_s: float) -> bool:
        """Whether the last flood is over for as long as the rest was that followed it."""
        return now_s >= self._rest_until_s + (self._rest_until_s - self._exceeded_s)


def _bucket(rate: Rate, now_s: float) -> Bucket:
    return Bucket(burst=rate.burst, per_s=rate.per_s, now_s=now_s)
