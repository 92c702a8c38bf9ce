"""Node rows: the list of nodes and a node's own page, from the inventory and the fleet's facts.

Pure. Invariants: the order is total (the name decides between equals), so that pages neither repeat nor skip
a node; no row is made for a node that a page does not show.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from common.api.codes import State
from common.bundle.manifest import SLOTS, Slot
from common.bundle.parts import Part
from common.ids import NodeName
from common.words import listed
from manager.domain.brief import NodeBrief
from manager.domain.inventory import Entry, Inventory
from manager.domain.listing import ListPage, Sort, mentions, page_of, sort_rows
from manager.domain.model import NodeRecord
from manager.domain.report import Serving
from manager.domain.view import NodeView, SlotView, first_end_s
from manager.web.words import STATES, Kind, short

LATEST_S: Final = 2.0**53
"""Later than any certificate's end: nodes without one come last."""

PARTS: Final[Mapping[Part, str]] = MappingProxyType(
    {"server": "the server certificate", "client": "the client certificate", "trust": "the trust store"}
)
"""The names of a bundle's parts."""

_EMPTY: Final = SlotView(desired=None, offered=None, applied=None, serving=None)


class NodeOrder(StrEnum):
    """The orders of the list."""

    NAME = "name"
    STATE = "state"
    EXPIRY = "expiry"
    LAST_SEEN = "heard"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuery:
    """A query of the list; without `states`, all of them."""

    search: str = ""
    states: Collection[State] = ()
    order: NodeOrder = NodeOrder.NAME
    descending: bool = False
    page: int = 1
    size: int

    @property
    def looks_at_all(self) -> bool:
        """Whether every node must be read to find the first ones."""
        return bool(self.search or self.states) or self.order is not NodeOrder.NAME or self.descending


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One node of the list; `assigned` is its server slot's certificate."""

    record: NodeRecord
    location: str
    assigned: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One of a slot's four facts: the certificate (`entry` if stored), and whether it is the desired one."""

    leaf: str | None
    entry: Entry | None
    kind: Kind

    @property
    def text(self) -> str:
        if self.entry is not None:
            return self.entry.leaf.display_name
        return f"{short(self.leaf)}…" if self.leaf else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """One slot's assignment and its four facts side by side."""

    slot: Slot
    assigned: Entry | None
    desired: Fact
    offered: Fact
    applied: Fact
    serving: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """The certificate an endpoint was seen to serve, and whether it is the installed one."""

    seen: Serving
    fact: Fact


def list_rows(
    inventory: Inventory,
    briefs: Mapping[NodeName, NodeBrief],
    query: NodeQuery,
    locations: Mapping[int, str],
) -> ListPage[Row]:
    """Return the nodes of one page. Searching, filtering and sorting read every node: for a thread."""
    names = list(inventory.nodes)
    if query.search:
        names = _searched(inventory, names, query.search, locations)
    if query.states:
        names = [name for name in names if (brief := briefs.get(name)) and brief.state in query.states]
    if query.order is not NodeOrder.NAME or query.descending:
        names = sort_rows(names, [Sort(_key(inventory, briefs, query.order), query.descending)])
    page = page_of(names, query.page, size=query.size)
    rows = [_row(inventory, inventory.nodes[name], locations) for name in page.entries]
    return ListPage(page.total, rows)


def _row(inventory: Inventory, record: NodeRecord, locations: Mapping[int, str]) -> Row:
    return Row(
        record=record,
        location=location_of(record, locations),
        assigned=assigned_to(inventory, record.name, "server"),
    )


def _key(
    inventory: Inventory, briefs: Mapping[NodeName, NodeBrief], order: NodeOrder
) -> Callable[[NodeName], Any]:
    rank = {state: number for number, state in enumerate(STATES)}
    match order:
        case NodeOrder.STATE:
            return lambda name: (rank[briefs[name].state] if name in briefs else 0, name)
        case NodeOrder.EXPIRY:
            return lambda name: (_shown_end_s(assigned_to(inventory, name, "server"), briefs.get(name)), name)
        case NodeOrder.LAST_SEEN:
            return lambda name: (briefs[name].last_report_at_s or 0.0 if name in briefs else 0.0, name)
        case NodeOrder.NAME:
            return lambda name: name


def _searched(
    inventory: Inventory, names: Sequence[NodeName], search: str, locations: Mapping[int, str]
) -> list[NodeName]:
    """Return the nodes whose names, addresses, location or certificate contain the text."""
    # check each certificate once: thousands of nodes may share one with as many names
    entries = {
        number
        for number, entry in inventory.entries.items()
        if mentions((entry.leaf.display_name, *entry.leaf.subject_alt_names), search)
    }
    places = {number for number, name in locations.items() if mentions((name,), search)}
    found = []
    for name in names:
        record = inventory.nodes[name]
        if (
            inventory.slots.get((name, "server")) in entries
            or (places and record.detail.get("system_location") in places)
            or mentions((name, *record.names, *record.addresses), search)
        ):
            found.append(name)
    return found


def slot_rows(view: NodeView, inventory: Inventory) -> list[SlotRow]:
    """Return the four facts of each slot; a possible slot without facts has a row too."""
    by_leaf = inventory.by_leaf
    rows = []
    for slot in SLOTS:
        facts = view.slots.get(slot, _EMPTY)
        rows.append(
            SlotRow(
                slot=slot,
                assigned=assigned_to(inventory, view.name, slot),
                desired=_fact(facts.desired, by_leaf, "info"),
                offered=_fact(facts.offered, by_leaf, _like(facts.offered, facts.desired, "wait")),
                applied=_fact(facts.applied, by_leaf, _like(facts.applied, facts.desired, "wait")),
                serving=_fact(
                    facts.serving,
                    by_leaf,
                    _served_kind(facts, facts.serving, has_installed=view.applied is not None),
                ),
            )
        )
    return rows


def what_it_has(view: NodeView) -> str:
    """Describe what a node has after a failed installation: a part of the new, the former, or unproven files."""
    failed, applied = view.last_failed, view.applied
    if applied is None:
        return "Nothing was installed on it before, so it keeps the new files for its services to start on."
    if failed is not None and view.refused and applied.generation == failed.generation:
        parts = listed(PARTS[each.part] for each in view.refused)
        return f"Generation {applied.generation} is installed without {parts}."
    return f"It keeps generation {applied.generation}."


def endpoint_rows(view: NodeView, inventory: Inventory) -> list[EndpointRow]:
    """Return what each endpoint serves, the worst first."""
    by_leaf = inventory.by_leaf
    excused = view.excused
    rows = []
    for seen in view.serving:
        kind = _served_kind(
            view.slots.get(seen.slot, _EMPTY), seen.leaf, has_installed=view.applied is not None
        )
        if seen.reason:
            kind = "bad"
        if kind == "bad" and seen.consumer in excused:
            kind = "wait"
        elif kind == "ok" and seen.strict_client:
            kind = "warn"
        rows.append(EndpointRow(seen=seen, fact=_fact(seen.leaf, by_leaf, kind)))
    worst: dict[Kind, int] = {"bad": 0, "wait": 1, "warn": 2}
    return sorted(rows, key=lambda row: (worst.get(row.fact.kind, 3), row.seen.consumer, row.seen.endpoint))


def served(view: NodeView, by_leaf: Mapping[str, Entry]) -> Fact:
    """Return the certificate a node's server slot serves, as far as probed."""
    facts = view.slots.get("server", _EMPTY)
    kind = _served_kind(facts, facts.serving, has_installed=view.applied is not None)
    return _fact(facts.serving, by_leaf, kind)


def served_until_s(view: NodeView) -> int | None:
    """Return the earliest expiry of server certificates seen on a node's ports; None for none."""
    return first_end_s(view.serving)


def _shown_end_s(assigned: Entry | None, brief: NodeBrief | None) -> float:
    """Return the end shown in the list: the served certificate's, otherwise the assigned one's."""
    end_s = brief.served_until_s if brief is not None else None
    if end_s is not None:
        return end_s
    if assigned is None:
        return LATEST_S
    # unreadable ones come first, as they need attention
    assigned_s = assigned.leaf.not_after_s
    return assigned_s if assigned_s is not None else -LATEST_S


def assigned_to(inventory: Inventory, name: NodeName, slot: Slot) -> Entry | None:
    """Return the certificate of a node's slot."""
    number = inventory.slots.get((name, slot))
    return inventory.entries[number] if number is not None else None


def location_of(record: NodeRecord, locations: Mapping[int, str]) -> str:
    """Return the system location that management API clients gave a node; "" for none."""
    number = record.detail.get("system_location")
    return locations.get(number, "") if isinstance(number, int) else ""


def _fact(leaf: str | None, by_leaf: Mapping[str, Entry], kind: Kind) -> Fact:
    return Fact(leaf=leaf, entry=by_leaf.get(leaf or ""), kind=kind if leaf is not None else "off")


def _like(leaf: str | None, wanted: str | None, otherwise: Kind) -> Kind:
    return "ok" if leaf and leaf == wanted else otherwise


def _served_kind(facts: SlotView, leaf: str | None, *, has_installed: bool) -> Kind:
    """Return how good a served certificate is.

    Before the first installation it can only be the installed one.
    """
    if has_installed:
        return _like(leaf, facts.applied, "bad")
    return _like(leaf, facts.desired, "wait")
