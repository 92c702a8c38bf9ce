"""Tallies: authenticated short messages by which the managers of a store share their counts.

Pure. Decides the content of a message and which messages count. Counted names are digests under a key that
only these managers have, so eavesdroppers learn no name, no address, and nothing typed into the wrong field.
Invariant: a message is bounded, counts once, and was made after its reader began to listen.
"""

import base64
import binascii
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ENTRIES_MAX: Final = 320
"""Entries of one message: a notification of PostgreSQL has less than 8,000 bytes."""

TIMES_MAX: Final = 255
"""Largest count of one entry."""

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BQd")
_ENTRY: Final = struct.Struct(">B16sB")
_SEAL_BYTES: Final = 16
_TEXT_MAX: Final = 8000


class Tally(IntEnum):
    """Kinds of counts; the numbers go over the wire and are never reused."""

    FAILED = 1
    NETWORK_FAILED = 2
    COMPARED = 3
    PROVEN = 4
    SIGNED_IN = 5
    SIGN_IN_NOTED = 6
    TOKEN_MADE = 7


Counted = tuple[Tally, bytes]
"""A kind of count, and the digest of the name that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyMessage:
    """One member's counts, with a time by the shared clock."""

    member: int
    at_s: float
    entries: Mapping[Counted, int]


def digest_of(key: bytes, tally: Tally, parts: tuple[str, ...]) -> bytes:
    """Return the digest that stands for a name in messages."""
    text = "\0".join((str(int(tally)), *parts))
    return hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")[:16]


def encode(key: bytes, message: TallyMessage) -> str:
    """Return a message as text; it must have at most ENTRIES_MAX entries."""
    body = _HEAD.pack(_VERSION, message.member, message.at_s) + b"".join(
        _ENTRY.pack(tally, digest, min(times, TIMES_MAX))
        for (tally, digest), times in message.entries.items()
    )
    return base64.b64encode(body + _seal(key, body)).decode()


def decode(key: bytes, text: str) -> TallyMessage | None:
    """Return a decoded message without unknown kinds; None if no manager of this store made it."""
    if len(text) > _TEXT_MAX:
        return None
    try:
        whole = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    body, seal = whole[:-_SEAL_BYTES], whole[-_SEAL_BYTES:]
    if len(body) < _HEAD.size or (len(body) - _HEAD.size) % _ENTRY.size:
        return None
    if not hmac.compare_digest(seal, _seal(key, body)):
        return None
    version, member, at_s = _HEAD.unpack_from(body)
    if version != _VERSION:
        return None
    known = {int(each) for each in Tally}
    entries = {
        (Tally(number), digest): times
        for number, digest, times in _ENTRY.iter_unpack(body[_HEAD.size :])
        if number in known
    }
    return TallyMessage(member=member, at_s=at_s, entries=entries)


class Gathered:
    """Counts of this manager that have yet to be sent."""

    MOST: Final = 10 * ENTRIES_MAX
    """Entries kept until they can be sent: five seconds of a flood or of an unreachable database.

    New entries beyond that are dropped.
    """

    def __init__(self) -> None:
        self._entries: dict[Counted, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, counted: Counted, times: int = 1) -> None:
        """Add to a count."""
        if counted in self._entries or len(self._entries) < self.MOST:
            self._entries[counted] = min(TIMES_MAX, self._entries.get(counted, 0) + times)

    def take(self) -> Mapping[Counted, int]:
        """Remove and return the oldest entries, as many as fit into one message."""
        chosen = list(self._entries)[:ENTRIES_MAX]
        return {each: self._entries.pop(each) for each in chosen}


class Believed:
    """Replay filter: each message counts once, and none from before this manager began to listen."""

    SENDERS_MAX: Final = 64
    EARLY_S: Final = 2.0
    """Time that the shared clock may be ahead here, compared with the message's sender."""

    def __init__(self) -> None:
        self._since_s = float("inf")
        self._last_s: dict[int, float] = {}

    def begin(self, now_s: float) -> None:
        """Start or restart listening."""
        self._since_s, self._last_s = now_s - self.EARLY_S, {}

    def is_new(self, message: TallyMessage) -> bool:
        """Whether a message counts; it does so only once."""
        # NaN fails both comparisons
        if not (
            message.at_s >= self._since_s and message.at_s > self._last_s.get(message.member, float("-inf"))
        ):
            return False
        self._last_s.pop(message.member, None)
        self._last_s[message.member] = message.at_s
        if len(self._last_s) > self.SENDERS_MAX:
            del self._last_s[next(iter(self._last_s))]
        return True


def _seal(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"message\0" + body, "sha256")[:_SEAL_BYTES]
