"""Node view: one node's facts at one moment, as the API and people see them.

Decides which endpoint represents a slot, and how long a replaced key is shown.
"""

from collections.abc import Iterable
from typing import Final

from common.bundle.manifest import SLOTS, Slot
from common.ids import Fingerprint
from manager.domain.desired import Desired
from manager.domain.facts import NodeFacts
from manager.domain.model import KeyChange
from manager.domain.view import NodeView, SlotView

KEY_REPLACED_S: Final = 7 * 86400.0
"""Duration of the alarm about a node's replaced key: a week, so that a colleague can be asked about it."""


def view_of(facts: NodeFacts, now_s: float) -> NodeView:
    """Return the current view of a node."""
    return NodeView(
        name=facts.name,
        kind=facts.kind,
        state=facts.state(),
        joined=facts.joined,
        connected_at_s=facts.connected_s,
        last_report_at_s=facts.last_report_s,
        address=facts.address,
        agent_version=facts.agent_version,
        desired=facts.desired.version if facts.desired else None,
        republished=facts.desired is not None and facts.desired.superseded_digest is not None,
        offered=facts.push.version if facts.push is not None else None,
        applied=facts.runs,
        slots={slot: _slot(facts, slot) for slot in SLOTS if _has(facts, slot)},
        serving=facts.serving,
        last_failed=facts.last_failed,
        drifted=facts.is_drifted,
        drifts=facts.drifts,
        clock_skew_s=facts.clock_skew_s,
        waiting=facts.waiting,
        push=facts.push.view() if facts.push is not None else None,
        refused=() if facts.is_applied else facts.refused_parts,
        rivals=facts.seats.rivals(now_s),
        turned_away=_joined([facts.turned_away, *(each.turned_away for each in facts.sightings)]),
        configuration=facts.configuration,
        manager_addresses=facts.contact.addresses if facts.contact is not None else None,
        manager_host_keys=facts.contact.host_keys if facts.contact is not None else None,
        key_change=facts.key_change,
        key_replaced=_replaced(facts.key_change, now_s),
        flood=_joined([facts.flood, *(each.flood for each in facts.sightings)]),
        is_incredible=facts.applied is not None and facts.applied.generation > facts.believed_generation,
    )


def _joined(noticed: Iterable[str]) -> str:
    """Return the observations of several managers as one text, in the same order at each manager."""
    return "; ".join(sorted({each for each in noticed if each}))


def _replaced(change: KeyChange | None, now_s: float) -> KeyChange | None:
    """Return how the node got its key, if it recently replaced another one."""
    is_recent = change is not None and bool(change.former) and now_s - change.at_s < KEY_REPLACED_S
    return change if is_recent else None


def _has(facts: NodeFacts, slot: Slot) -> bool:
    return (facts.desired is not None and slot in facts.desired.manifest.slots) or (
        facts.applied is not None and slot in facts.applied.leaves
    )


def _slot(facts: NodeFacts, slot: Slot) -> SlotView:
    applied = facts.applied.leaves.get(slot) if facts.applied is not None else None
    return SlotView(
        desired=_leaf(facts.desired, slot),
        offered=facts.push.leaves.get(slot) if facts.push is not None else None,
        applied=Fingerprint(applied) if applied else None,
        serving=leaf_served(facts, slot),
    )


def leaf_served(facts: NodeFacts, slot: Slot) -> Fingerprint | None:
    """Return the leaf that represents what a slot's endpoints were seen to serve, None if none was probed."""
    seen = [each.leaf for each in facts.serving if each.slot == slot]
    # one stale endpoint makes the slot stale, so a differing leaf is shown first
    wanted = facts.applied.leaves.get(slot) if facts.applied is not None else _leaf(facts.desired, slot)
    serving = next((leaf for leaf in seen if leaf != wanted), seen[0] if seen else None)
    return Fingerprint(serving) if serving is not None else None


def _leaf(desired: Desired | None, slot: Slot) -> Fingerprint | None:
    facts = desired.manifest.slots.get(slot) if desired is not None else None
    return facts.leaf if facts is not None else None
