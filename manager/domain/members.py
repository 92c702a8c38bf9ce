"""Managers that share a store, as its members, and what the store knows of the nodes that each of them holds.

Times are unix seconds by the database's clock. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType

from common.ids import NodeName
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.model import GenerationRecord, NodeRecord, NodeReportRecord

MemberId = NewType("MemberId", int)
"""The number of a member, never given twice: a manager that was evicted and comes back is another one."""

EVICTED: Final = (
    "this manager could not renew its lease in time, so the others go on without it; it joins them again by itself: "
    "try again in a few seconds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A manager that serves the store. `node` is its own node, of the kind `management`."""

    id: MemberId
    node: NodeName
    started_s: float
    renewed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    """A node that a member wants to hold, because its agent has greeted. `node_id` is the store's number of the node that is meant.

    `instance` tells the agent's process from others, `displaces` that another connection of the node to this member is still open.
    """

    node: NodeName
    node_id: int
    address: str
    agent_version: str
    instance: str
    displaces: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one member noticed of a node whose session it need not have; "" for nothing.

    `flood` is what the node takes too much of, and from where; `turned_away` why its agent was sent away.
    """

    member: MemberId
    flood: str = ""
    turned_away: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The session of a node: which member has it. Of two sessions of a node, the one with the higher `number` is the newer."""

    member: MemberId
    number: int
    since_s: float
    address: str
    agent_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """All that the store knows of one node, as of one moment. None: there is none.

    `is_push_asked`: a push was asked for at another member than the one that holds it, which has not taken it yet.
    `seats` are the agents that greeted lately, at whichever member; `left_s` is when the node was last heard in its most recent session that has ended.
    """

    record: NodeRecord
    generation: GenerationRecord | None
    report: NodeReportRecord | None
    hold: Hold | None
    is_push_asked: bool
    seats: RecentAgents
    left_s: float | None
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPush:
    """A push of a node that was asked for at another member than the one that holds it."""

    node: NodeName
    is_forced: bool
    asked_by: str
    asked_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanges:
    """What changed in the store, as of one moment.

    `number` is where the next pass begins, `content` the revision of what nodes must hold, `rights` that of who may do what, `alarms` that of
    the active alarms, `challenges` that of what nodes are to show to CAs.
    `nodes` are those of which anything changed; `present` are the numbers of all nodes that there are, if one was removed, else None.
    `is_anew`: a server took over that lacks what was kept last, so all there is is among it, and what memory has beyond that was lost.
    """

    number: int
    content: int
    rights: int
    alarms: int
    challenges: int
    nodes: Sequence[NodeState]
    present: frozenset[int] | None
    is_anew: bool
