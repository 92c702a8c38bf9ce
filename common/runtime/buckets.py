"""Token buckets: how much may be done at once, and how much a second from then on, in all or of each key.

Decides only; reads no clock. Invariant: whatever is remembered is bounded, and what is as good as new is not remembered for long.
"""

from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import Final, Generic, TypeVar

KEYS_MAX: Final = 10_000
"""Keys that have a bucket; the one that was used least lately is forgotten first, and has a full one again."""

FORGOTTEN_AT_ONCE: Final = 2
"""How many buckets that are full again make room for a new one. More than one, so that what a crowd left is given back when it is gone."""

K = TypeVar("K", bound=Hashable)


class Bucket:
    """`burst` at once, then `per_s`."""

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, *, burst: float, per_s: float, now_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._at_s = burst, now_s

    def _refill(self, now_s: float) -> None:
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s

    def is_full(self, now_s: float) -> bool:
        """Whether it is as good as new."""
        self._refill(now_s)
        return self._left >= self._burst

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Take this much if it is there."""
        self._refill(now_s)
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def take_some(self, now_s: float, amount: float) -> None:
        """Take this much, or what is there of it."""
        self._refill(now_s)
        self._left = max(0.0, self._left - amount)

    def give_back(self, now_s: float, amount: float = 1.0) -> None:
        """Put back what was taken and shall not count; more than `burst` is never there."""
        self._refill(now_s)
        self._left = min(self._burst, self._left + amount)

    def wait_s(self, now_s: float, amount: float = 1.0) -> float:
        """Return for how many seconds this much is not there yet."""
        self._refill(now_s)
        return max(0.0, (amount - self._left) / self._per_s)

    def spend(self, now_s: float, amount: float) -> float:
        """Take this much, there or not, and return for how many seconds nothing more should be taken."""
        self._refill(now_s)
        self._left -= amount
        return max(0.0, -self._left / self._per_s)


class Buckets(Generic[K]):
    """A bucket for each key."""

    def __init__(self, *, burst: float, per_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._buckets: OrderedDict[K, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: K, now_s: float) -> Bucket:
        """Return the bucket of a key that is about to be used."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_full(now_s)
            bucket = self._buckets[key] = Bucket(burst=self._burst, per_s=self._per_s, now_s=now_s)
            if len(self._buckets) > KEYS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def _forget_full(self, now_s: float) -> None:
        for oldest in list(islice(self._buckets, FORGOTTEN_AT_ONCE)):
            if not self._buckets[oldest].is_full(now_s):
                return
            del self._buckets[oldest]

    def take(self, key: K, now_s: float) -> bool:
        """Count one of a key, and say whether it is within its rate."""
        return self.of(key, now_s).take(now_s)

    def take_some(self, key: K, now_s: float, amount: float) -> None:
        """Count what was done of a key elsewhere: as much of it as is there."""
        self.of(key, now_s).take_some(now_s, amount)

    def give_back(self, key: K, now_s: float) -> None:
        """Count one less of a key."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.give_back(now_s)

    def wait_s(self, key: K, now_s: float) -> float:
        """Return for how many seconds the next one of a key would be too early; asking is not remembered."""
        bucket = self._buckets.get(key)
        return bucket.wait_s(now_s) if bucket is not None else 0.0
