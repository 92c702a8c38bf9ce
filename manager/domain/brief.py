"""Node brief: the data by which lists count, sort and filter nodes, cached until the node changes.

Pure. Invariant: it does not depend on the time of reading, so it stays correct until the node changes.
"""

from collections.abc import Mapping

import msgspec

from common.bundle.manifest import SLOTS, Slot
from common.codes import NodeKind, State
from common.ids import Fingerprint, NodeName
from manager.domain.facts import NodeFacts
from manager.domain.report import Serving
from manager.domain.view import PushView, first_end_s
from manager.domain.view_of_facts import leaf_served


class NodeBrief(msgspec.Struct, frozen=True, kw_only=True):
    """One node in brief; the field names are those of its view."""

    name: NodeName
    kind: NodeKind
    state: State
    joined: bool
    agent_version: str
    manager_addresses: tuple[str, ...] | None
    last_report_at_s: float | None
    serving: tuple[Serving, ...]
    served: Mapping[Slot, Fingerprint]
    push: PushView | None

    def serves(self, slot: Slot) -> Fingerprint | None:
        """Return the leaf that a slot was seen to serve, None if nothing was probed for it."""
        return self.served.get(slot)

    @property
    def served_until_s(self) -> int | None:
        """The first expiry of the server certificates that its ports were seen to serve; None if none was seen."""
        return first_end_s(self.serving)


def brief_of(facts: NodeFacts) -> NodeBrief:
    """Return the brief of a node's facts."""
    return NodeBrief(
        name=facts.name,
        kind=facts.kind,
        state=facts.state(),
        joined=facts.joined,
        agent_version=facts.agent_version,
        manager_addresses=facts.contact.addresses if facts.contact is not None else None,
        last_report_at_s=facts.last_report_s,
        serving=facts.serving,
        served={slot: leaf for slot in SLOTS if (leaf := leaf_served(facts, slot)) is not None},
        push=facts.push.view() if facts.push is not None else None,
    )
