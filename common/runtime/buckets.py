"""Token buckets: a burst and then a rate per second, in total or per key.

Decides only; reads no clock. Invariant: memory is bounded, and full buckets are soon forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import Final, Generic, TypeVar

KEYS_MAX: Final = 10_000
"""The most keys with a bucket. The least recently used key is forgotten first, and starts full again."""

FORGOTTEN_AT_ONCE: Final = 2
"""How many full buckets to drop for each new one. More than one, so that memory shrinks after a crowd has left."""

K = TypeVar("K", bound=Hashable)


class Bucket:
    """Allows `burst` at once, then `per_s` per second."""

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, *, burst: float, per_s: float, now_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._at_s = burst, now_s

    def _refill(self, now_s: float) -> None:
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s

    def is_full(self, now_s: float) -> bool:
        """Whether it is full, and so need not be remembered."""
        self._refill(now_s)
        return self._left >= self._burst

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Take this much if available; return whether it was."""
        self._refill(now_s)
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def take_some(self, now_s: float, amount: float) -> None:
        """Take this much, or as much of it as is available."""
        self._refill(now_s)
        self._left = max(0.0, self._left - amount)

    def give_back(self, now_s: float, amount: float = 1.0) -> None:
        """Put back an amount that should not count, up to `burst`."""
        self._refill(now_s)
        self._left = min(self._burst, self._left + amount)

    def wait_s(self, now_s: float, amount: float = 1.0) -> float:
        """Return the seconds until this much is available."""
        self._refill(now_s)
        return max(0.0, (amount - self._left) / self._per_s)

    def spend(self, now_s: float, amount: float) -> float:
        """Take this much even if it is not available; return the seconds to wait before the next."""
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
        """Return the bucket of a key, made if missing and marked as just used."""
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
        """Count one event of a key, and return whether it is within the key's rate."""
        return self.of(key, now_s).take(now_s)

    def take_some(self, key: K, now_s: float, amount: float) -> None:
        """Count events of a key that happened elsewhere, as far as its bucket holds them."""
        self.of(key, now_s).take_some(now_s, amount)

    def give_back(self, key: K, now_s: float) -> None:
        """Take back one event of a key."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.give_back(now_s)

    def wait_s(self, key: K, now_s: float) -> float:
        """Return the seconds until the next event of a key is within its rate. Asking changes nothing."""
        bucket = self._buckets.get(key)
        return bucket.wait_s(now_s) if bucket is not None else 0.0
