"""Challenges on the wire: the set that a node is to answer a CA with, and what came of it.

Decides shapes and limits, which set is the newest, and whom an empty one concerns. Leaves when a set is sent to the manager's fleet,
and files and ports to the agent. Invariant: a set is whole and takes the place of the one before; its number rises within a
connection; and what an agent says of a set that a newer one has replaced counts for nothing.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from common.challenge import (
    CHALLENGES_MAX,
    LIFETIME_MAX_S,
    RESPONSE_MAX_CHARS,
    RESPONSE_PATTERN,
    TOKEN_MAX_CHARS,
    TOKEN_PATTERN,
)
from common.errors import ProtocolError
from common.wire.fields import Count, PartText

Token = Annotated[str, Meta(max_length=TOKEN_MAX_CHARS, pattern=TOKEN_PATTERN)]
Response = Annotated[str, Meta(max_length=RESPONSE_MAX_CHARS, pattern=RESPONSE_PATTERN)]


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer who asks for `token`, for so much longer; relative, so that no clock needs to be right."""

    token: Token
    text: Response
    expires_in_s: Annotated[float, Meta(ge=0, le=LIFETIME_MAX_S)]

    def __repr__(self) -> str:
        """Leave out what is answered: it is nobody's business before the CA asks."""
        return f"Challenge(token={self.token!r}, expires_in_s={self.expires_in_s!r})"


class Challenges(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="challenges"):
    """All challenges that a node is to show from now on, and no others."""

    number: Count
    challenges: Annotated[list[Challenge], Meta(max_length=CHALLENGES_MAX)]


class NotKept(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge that the node does not show, and why."""

    token: Token
    message: PartText


class ChallengesKept(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="challenges_kept"):
    """The node shows the set with this number, but for these. Said again when that changes."""

    number: Count
    not_kept: Annotated[list[NotKept], Meta(max_length=CHALLENGES_MAX)] = []


class SentSets:
    """The manager's end. `held` is how many the agent said that it shows, None if it does not know challenges."""

    __slots__ = ("_number", "held")

    def __init__(self) -> None:
        self.held: int | None = None
        self._number = 0

    def show(self, number: int, challenges: Sequence[Challenge]) -> list[Challenges]:
        """Return what to send: nothing to an agent that does not know challenges, and an empty set only to who holds any."""
        if self.held is None or not (challenges or self.held):
            return []
        self.held, self._number = len(challenges), number
        return [Challenges(number=number, challenges=list(challenges))]

    def is_newest(self, kept: ChallengesKept) -> bool:
        """Whether this is about the set that was sent last. Raises ProtocolError if it is about one that was never sent."""
        if kept.number > self._number:
            raise ProtocolError("the agent keeps challenges that it was not sent")
        return kept.number == self._number


class ReceivedSets:
    """The agent's end, of one connection after the other."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: Challenges | None = None

    def begin(self) -> None:
        """Begin with a connection: numbers may begin again, and what is said of an earlier one's sets concerns nobody."""
        self._newest = None

    def take(self, challenges: Challenges) -> Challenges:
        """Take a set. Raises ProtocolError if its number is not higher than the last, or it names one challenge twice."""
        if self._newest is not None and challenges.number <= self._newest.number:
            raise ProtocolError("the number of a set of challenges must increase")
        if len({each.token for each in challenges.challenges}) < len(challenges.challenges):
            raise ProtocolError("a set names one challenge twice")
        self._newest = challenges
        return challenges

    def kept(self, challenges: Challenges, not_kept: Sequence[NotKept]) -> list[ChallengesKept]:
        """Return what to say of a set, nothing if a newer one, or a newer connection, has taken its place."""
        if challenges is not self._newest:
            return []
        return [ChallengesKept(number=challenges.number, not_kept=list(not_kept))]
