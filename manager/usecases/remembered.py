"""Remembered passwords: those that were verified a moment ago, so that clients that send one with each request are not hashed each time.

Decides what passes unhashed. A password is remembered for a place: where it was verified, and nowhere else, because a comparison
answers at once and so tells guesses apart. Invariant: what is kept is an HMAC under a key of the process, never a password; how
much is kept is bounded.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

VERIFIED_S: Final = 300.0
"""How long a verified password is remembered after its last use: clients of the API send it with each request, and Argon2 takes 50 ms."""

UNGUESSABLE_S: Final = 3600.0
"""The same for one that nobody finds by guessing: a program that calls every half an hour does not wait for others' guesses."""

VERIFIED_MAX: Final = 10_000
"""Pairs of user and place that are remembered; those that were used longest ago go first."""


class Match(Enum):
    """What a comparison tells."""

    NOTHING_REMEMBERED = auto()
    RIGHT = auto()
    WRONG = auto()


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is kept of a password, and for how long."""

    digest: bytes = field(repr=False)
    until_s: float
    is_unguessable: bool


class RememberedPasswords:
    """`clock` is monotonic seconds. A user is named with the hash of the password, so a new one ends what is remembered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._marks: OrderedDict[tuple[str, str, str], _Mark] = OrderedDict()

    def remember(
        self, user: tuple[str, str], place: str, password: str, *, is_unguessable: bool = False
    ) -> None:
        """Remember a password that was verified, or used again."""
        key = (*user, place)
        self._marks.pop(key, None)
        until_s = self._clock() + (UNGUESSABLE_S if is_unguessable else VERIFIED_S)
        self._marks[key] = _Mark(self._mark(user[0], password), until_s, is_unguessable)
        while len(self._marks) > VERIFIED_MAX:
            self._marks.popitem(last=False)

    def compare(self, user: tuple[str, str], place: str, password: str) -> Match:
        """Compare a password with what is remembered for a place."""
        known = self._get(user, place)
        if known is None:
            return Match.NOTHING_REMEMBERED
        is_right = hmac.compare_digest(known.digest, self._mark(user[0], password))
        return Match.RIGHT if is_right else Match.WRONG

    def is_unguessable(self, user: tuple[str, str], place: str) -> bool:
        """Whether the password that is remembered for a place is one that nobody finds by guessing."""
        known = self._get(user, place)
        return known is not None and known.is_unguessable

    def forget(self, user: tuple[str, str], place: str) -> None:
        """Forget what is remembered for one place."""
        self._marks.pop((*user, place), None)

    def forget_all(self) -> None:
        self._marks.clear()

    def _get(self, user: tuple[str, str], place: str) -> "_Mark | None":
        known = self._marks.get((*user, place))
        return known if known is not None and known.until_s > self._clock() else None

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._salt, f"{name}\0{password}".encode(errors="replace"), "sha256")
