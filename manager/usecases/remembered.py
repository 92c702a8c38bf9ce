"""Remembered passwords: recently verified ones, so that clients that send one each time are not hashed.

Decides which passwords pass unhashed. A password is remembered only for the origin (source or connection)
where it was verified, because a comparison is instant and thus confirms guesses. Invariant: only an HMAC
under a key of this process is kept, never a password. Memory is bounded, and entries of a connection end with
it.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from manager.usecases.connections import ClientConnection, OfConnections

VERIFIED_S: Final = 300.0
"""Time since its last use that a password is remembered:

API clients send it with each request, and Argon2 takes 50 ms.
"""

UNGUESSABLE_S: Final = 3600.0
"""The same for an unguessable password: a program that calls every half hour does not queue with guesses."""

VERIFIED_MAX: Final = 10_000
"""Remembered pairs of user and source; the least recently used are dropped."""

Origin = str | ClientConnection
"""A source or a connection."""


class Match(Enum):
    """Result of a comparison."""

    NOTHING_REMEMBERED = auto()
    RIGHT = auto()
    WRONG = auto()


@dataclass(frozen=True, slots=True)
class _Mark:
    """HMAC of a password with its expiry."""

    digest: bytes = field(repr=False)
    until_s: float
    is_unguessable: bool


class RememberedPasswords:
    """Cache of verified passwords. `clock` is monotonic seconds.

    A user is identified together with the password's hash, so a new password invalidates the entries.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._of_sources: OrderedDict[tuple[str, str, str], _Mark] = OrderedDict()
        self._of_connections: OfConnections[tuple[str, str], _Mark] = OfConnections()

    def __len__(self) -> int:
        return len(self._of_sources) + len(self._of_connections)

    def remember(
        self, user: tuple[str, str], origin: Origin, password: str, *, is_unguessable: bool = False
    ) -> None:
        """Remember a password that was verified or used again."""
        until_s = self._clock() + (UNGUESSABLE_S if is_unguessable else VERIFIED_S)
        mark = _Mark(self._mark(user[0], password), until_s, is_unguessable)
        if isinstance(origin, ClientConnection):
            self._of_connections.note(origin, user, mark)
            return
        key = (*user, origin)
        self._of_sources[key] = mark
        self._of_sources.move_to_end(key)
        while len(self._of_sources) > VERIFIED_MAX:
            self._of_sources.popitem(last=False)

    def compare(self, user: tuple[str, str], origin: Origin, password: str) -> Match:
        """Compare a password with the one remembered for an origin."""
        known = self._get(user, origin)
        if known is None:
            return Match.NOTHING_REMEMBERED
        is_right = hmac.compare_digest(known.digest, self._mark(user[0], password))
        return Match.RIGHT if is_right else Match.WRONG

    def is_unguessable(self, user: tuple[str, str], origin: Origin) -> bool:
        """Whether the password remembered for an origin is unguessable."""
        known = self._get(user, origin)
        return known is not None and known.is_unguessable

    def forget(self, user: tuple[str, str], connection: ClientConnection) -> None:
        """Forget the passwords of one connection."""
        self._of_connections.forget(connection, user)

    def forget_all(self) -> None:
        self._of_sources.clear()
        self._of_connections.forget_all()

    def _get(self, user: tuple[str, str], origin: Origin) -> "_Mark | None":
        if isinstance(origin, ClientConnection):
            known = self._of_connections.get(origin, user)
        else:
            known = self._of_sources.get((*user, origin))
        return known if known is not None and known.until_s > self._clock() else None

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._salt, f"{name}\0{password}".encode(errors="replace"), "sha256")
