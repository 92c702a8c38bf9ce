"""Remembered passwords: those that were verified a moment ago, so that clients that send one with each request are not hashed each time.

Decides what passes unhashed. A password is remembered for a place: where it was verified, and nowhere else, because a comparison
answers at once and so tells guesses apart. Invariant: what is kept is an HMAC under a key of the process, never a password; how
much is kept is bounded.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

VERIFIED_S: Final = 300.0
"""How long a verified password is remembered after its last use: clients of the API send it with each request, and Argon2 takes 50 ms."""

VERIFIED_MAX: Final = 10_000
"""Pairs of user and place that are remembered; those that were used longest ago go first."""


class Match(Enum):
    """What a comparison tells."""

    NOTHING_REMEMBERED = auto()
    RIGHT = auto()
    WRONG = auto()


class RememberedPasswords:
    """See the module. `clock` is monotonic seconds. A user is named with the hash of the password, so a new one ends what is remembered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._marks: OrderedDict[tuple[str, str, str], tuple[bytes, float]] = OrderedDict()

    def remember(self, user: tuple[str, str], place: str, password: str) -> None:
        """Remember a password that was verified, or used again."""
        key = (*user, place)
        self._marks.pop(key, None)
        self._marks[key] = (self._mark(user[0], password), self._clock() + VERIFIED_S)
        while len(self._marks) > VERIFIED_MAX:
            self._marks.popitem(last=False)

    def compare(self, user: tuple[str, str], place: str, password: str) -> Match:
        """Compare a password with what is remembered for a place."""
        known = self._marks.get((*user, place))
        if known is None or known[1] <= self._clock():
            return Match.NOTHING_REMEMBERED
        is_right = hmac.compare_digest(known[0], self._mark(user[0], password))
        return Match.RIGHT if is_right else Match.WRONG

    def forget(self, user: tuple[str, str], place: str) -> None:
        """Forget what is remembered for one place."""
        self._marks.pop((*user, place), None)

    def forget_all(self) -> None:
        self._marks.clear()

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._salt, f"{name}\0{password}".encode(errors="replace"), "sha256")
