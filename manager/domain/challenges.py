"""Challenges that nodes show to CAs: those that each node must show, and the results.

Times are unix seconds by the store's clock. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.challenge import LIFETIME_MAX_S
from common.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChallenge:
    """A challenge that a node must show until it expires.

    `kept_s` is when the node confirmed that it shows it, None before; `fault` is why it does not, "" if
    unknown.
    """

    node: NodeName
    token: str
    response: str = field(repr=False)
    expires_s: float
    kept_s: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentChallenge:
    """A challenge as sent to a node, with its remaining time."""

    token: str
    response: str = field(repr=False)
    expires_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKept:
    """A challenge that a node does not show, and why."""

    token: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengesKept:
    """A node's confirmation that it shows the set of challenges with this number, except for these."""

    number: int
    not_kept: tuple[NotKept, ...] = ()


def by_node(
    placed: Iterable[PlacedChallenge], *, now_s: float
) -> Mapping[NodeName, tuple[PlacedChallenge, ...]]:
    """Return the unexpired challenges of each node."""
    found: dict[NodeName, tuple[PlacedChallenge, ...]] = {}
    for each in placed:
        if each.expires_s > now_s:
            found[each.node] = (*found.get(each.node, ()), each)
    return found


def to_send(placed: Iterable[PlacedChallenge], *, now_s: float) -> list[SentChallenge]:
    """Return a node's set of challenges as sent now."""
    return [
        SentChallenge(
            token=each.token,
            response=each.response,
            expires_in_s=min(max(0.0, each.expires_s - now_s), LIFETIME_MAX_S),
        )
        for each in placed
    ]


def faults_by_token(kept: ChallengesKept, tokens: Iterable[str]) -> dict[str, str]:
    """Return why each of these is not shown, "" for one that is; other tokens in the report are ignored."""
    said = {each.token: each.message or "it does not say why" for each in kept.not_kept}
    return {token: said.get(token, "") for token in tokens}
