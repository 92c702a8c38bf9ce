"""Members, which are the managers that share a store, and the store's knowledge of the nodes that each holds.

Times are unix seconds by the database's clock. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType

from common.ids import NodeName
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.model import GenerationRecord, NodeRecord, NodeReportRecord

MemberId = NewType("MemberId", int)
"""Number of a member, never reused: an evicted manager that returns is a new member."""

EVICTED: Final = (
    "this manager could not renew its lease in time, so the others continue without it; it rejoins automatically: "
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
    """A member's request to hold a node whose agent has connected. `node_id` is the store's number of the node.

    `instance` identifies the agent's process. `displaces`: another connection of the node to this member is
    still open.
    """

    node: NodeName
    node_id: int
    address: str
    agent_version: str
    instance: str
    displaces: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One member's observations of a node whose session may be elsewhere; "" for nothing.

    `flood` says what the node does too often and from where, `turned_away` why its agent was turned away.
    """

    member: MemberId
    flood: str = ""
    turned_away: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A node's session, and the member that has it. The session with the higher `number` is the newer."""

    member: MemberId
    number: int
    since_s: float
    address: str
    agent_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """The store's knowledge of one node at one moment; None for absent parts.

    `is_push_asked`: a push was requested at another member than the holder, which has not taken it yet.
    `seats` are the agents that connected recently, at any member. `left_s` is when the node was last heard in
    its latest ended session.
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
    """A push requested at another member than the one that holds the node."""

    node: NodeName
    is_forced: bool
    asked_by: str
    asked_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanges:
    """Changes in the store as of one moment.

    `number` is where the next pass begins. `content`, `rights`, `alarms` and `challenges` are the revisions
    of the nodes' desired content, of permissions, of active alarms, and of the challenges that nodes show to
    CAs.

    `nodes` are the changed ones. `present` are the numbers of all nodes if one was removed, otherwise None.
    `is_anew`: a database server that lacks the latest commits took over, so this has everything that exists,
    and everything else in memory was lost.
    """

    number: int
    content: int
    rights: int
    alarms: int
    challenges: int
    nodes: Sequence[NodeState]
    present: frozenset[int] | None
    is_anew: bool
