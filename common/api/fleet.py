"""The fleet: the facts of all nodes, and pushes. Pure."""

import msgspec

from common.api.facts import NodeView
from common.api.generations import Difference
from common.api.values import ActionCode, Duration, Nodes, RequestBody


class Push(RequestBody, frozen=True, kw_only=True):
    """Which nodes (null: all); `forced` overrides quarantine and conflict; `dry_run` only says what would happen."""

    nodes: Nodes | None = None
    forced: bool = False
    dry_run: bool = False


class FleetAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes' facts, and how many are in which state.

    `manager_addresses` is where nodes are to dial this manager, as it announces it; `uninformed` counts the nodes that have joined and have
    not confirmed that they know this list.
    """

    nodes: list[NodeView]
    counts: dict[str, int]
    manager_addresses: tuple[str, ...] = ()
    uninformed: int = 0


class PushAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one node, and why. `difference` is what a dry run would change, null if nothing that is known.

    `retry_after_s` is how much longer a node rests after what is desired of it failed, null for any other.
    """

    node: str
    action: ActionCode
    why: str
    generation: int | None
    difference: Difference | None = None
    retry_after_s: Duration | None = None


class PushesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with each node."""

    pushes: list[PushAnswer]
