"""Challenges that nodes show to CAs, as the manager knows them: what each is to show, and what became of it.

Times are unix seconds by the store's clock. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.challenge import LIFETIME_MAX_S
from common.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChallenge:
    """A challenge that a node is to show until it expires.

    `kept_s` is when the node said that it shows it, None while it did not; `fault` is why it does not, in words, "" if that is not known.
    """

    node: NodeName
    token: str
    response: str = field(repr=False)
    expires_s: float
    kept_s: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentChallenge:
    """A challenge as it is sent to a node: for how much longer it is to be shown."""

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
    """A node shows the set of challenges that was sent under this number, but for these."""

    number: int
    not_kept: tuple[NotKept, ...] = ()


def by_node(
    placed: Iterable[PlacedChallenge], *, now_s: float
) -> Mapping[NodeName, tuple[PlacedChallenge, ...]]:
    """Return what each node is to show now; what has expired is nobody's."""
    found: dict[NodeName, tuple[PlacedChallenge, ...]] = {}
    for each in placed:
        if each.expires_s > now_s:
            found[each.node] = (*found.get(each.node, ()), each)
    return found


def to_send(placed: Iterable[PlacedChallenge], *, now_s: float) -> list[SentChallenge]:
    """Return a node's set as it is sent now."""
    return [
        SentChallenge(
            token=each.token,
            response=each.response,
            expires_in_s=min(max(0.0, each.expires_s - now_s), LIFETIME_MAX_S),
        )
        for each in placed
    ]


def faults_by_token(kept: ChallengesKept, tokens: Iterable[str]) -> dict[str, str]:
    """Return why each of these is not shown, "" for one that is; what else a node says concerns nobody."""
    said = {each.token: each.message or "it does not say why" for each in kept.not_kept}
    return {token: said.get(token, "") for token in tokens}
