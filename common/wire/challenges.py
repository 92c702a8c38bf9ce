"""Challenges on the wire: the set that a node answers a CA with, and the node's reply.

Decides shapes and limits, which set is the newest, and which agents need an empty set. The manager's fleet
decides when to send a set; the agent handles files and ports. Invariant: each set is complete and replaces
the previous one. Its number rises within a connection. A reply about a replaced set is ignored.
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
    """The response for `token`. It expires after a relative time, so the two clocks need not agree."""

    token: Token
    text: Response
    expires_in_s: Annotated[float, Meta(ge=0, le=LIFETIME_MAX_S)]

    def __repr__(self) -> str:
        """Leave out the response: nobody should see it before the CA asks."""
        return f"Challenge(token={self.token!r}, expires_in_s={self.expires_in_s!r})"


class Challenges(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="challenges"):
    """The complete set of challenges that a node shows from now on."""

    number: Count
    challenges: Annotated[list[Challenge], Meta(max_length=CHALLENGES_MAX)]


class NotKept(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge that the node does not show, and why."""

    token: Token
    message: PartText


class ChallengesKept(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="challenges_kept"):
    """The node shows the set with this number, except the listed challenges. Sent again when that changes."""

    number: Count
    not_kept: Annotated[list[NotKept], Meta(max_length=CHALLENGES_MAX)] = []


class SentSets:
    """The manager's end. `held` counts the agent's challenges, None if it does not support them."""

    __slots__ = ("_number", "held")

    def __init__(self) -> None:
        self.held: int | None = None
        self._number = 0

    def show(self, number: int, challenges: Sequence[Challenge]) -> list[Challenges]:
        """Return the messages to send.

        Sends nothing to agents that do not support challenges, and an empty set only to agents that hold any.
        """
        if self.held is None or not (challenges or self.held):
            return []
        self.held, self._number = len(challenges), number
        return [Challenges(number=number, challenges=list(challenges))]

    def is_newest(self, kept: ChallengesKept) -> bool:
        """Whether this reply is about the last set sent. Raises ProtocolError if that set was never sent."""
        if kept.number > self._number:
            raise ProtocolError("the agent keeps challenges that it was not sent")
        return kept.number == self._number


class ReceivedSets:
    """The agent's end, across connections."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: Challenges | None = None

    def begin(self) -> None:
        """Start a new connection: numbers may restart, and sets of earlier connections get no reply."""
        self._newest = None

    def take(self, challenges: Challenges) -> Challenges:
        """Accept a set. Raises ProtocolError if its number does not rise or a challenge appears twice."""
        if self._newest is not None and challenges.number <= self._newest.number:
            raise ProtocolError("the number of a set of challenges must increase")
        if len({each.token for each in challenges.challenges}) < len(challenges.challenges):
            raise ProtocolError("a set names one challenge twice")
        self._newest = challenges
        return challenges

    def kept(self, challenges: Challenges, not_kept: Sequence[NotKept]) -> list[ChallengesKept]:
        """Return the reply about a set, or nothing if a newer set or connection has replaced it."""
        if challenges is not self._newest:
            return []
        return [ChallengesKept(number=challenges.number, not_kept=list(not_kept))]
