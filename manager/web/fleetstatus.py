"""Fleet status on the home page: tiles, running pushes, and the duration of recent changes.

Pure. Invariant: every node is in exactly one tile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from statistics import median
from typing import Final, Protocol

from common.api.codes import State
from common.bundle.manifest import Slot
from common.ids import Fingerprint, NodeName
from manager.domain.inventory import Entry
from manager.domain.view import PushView
from manager.web.words import STATES, Kind

RECENT_S: Final = 24 * 3600.0
"""How far back the home page looks for the duration of changes."""

WAVE_S: Final = 600.0
"""Pushes that began within this time count as one wave."""

ROWS_MAX: Final = 40
"""How many pushes are listed; the rest are counted."""

PLACES_MAX: Final = 100
"""How many nodes a certificate's page lists."""

_TILES: Final[Sequence[tuple[Kind, str, tuple[State, ...]]]] = (
    ("ok", "In sync", ("in_sync",)),
    ("wait", "Pending", ("pending", "installing", "reload_waiting", "scheduled")),
    ("bad", "Failed", ("failed", "not_serving", "drifted", "conflict")),
    ("off", "Offline", ("offline",)),
    ("off", "Never joined", ("never_joined",)),
)


class Pushed(Protocol):
    """A node and the latest push to it."""

    @property
    def name(self) -> NodeName: ...

    @property
    def push(self) -> PushView | None: ...


class ServedNode(Pushed, Protocol):
    """A node with its latest push, and what its ports were seen to serve."""

    @property
    def state(self) -> State: ...

    def serves(self, slot: Slot) -> Fingerprint | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """The number of nodes in similar states; `detail` names the states."""

    kind: Kind
    title: str
    states: Sequence[State]
    count: int
    detail: str


@dataclass(frozen=True, slots=True)
class RecentPushes:
    """How long nodes took to prove that they serve a change."""

    count: int
    median_s: float
    slowest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The pushes of the last minutes. `rows` has running ones, then failed ones, then the latest."""

    total: int
    under_way: int
    applied: int
    failed: int
    rows: Sequence[tuple[Pushed, PushView]]

    @property
    def concluded(self) -> int:
        """How many have ended."""
        return self.total - self.under_way


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRow:
    """One node with a certificate; `is_serving` means its ports were seen to show it."""

    node: NodeName
    slot: Slot
    state: State
    is_serving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The progress of a certificate on its nodes.

    `probed` counts the nodes whose ports were probed, `serving` those of them that serve it. `took_s` is the
    last one's time since the change, None while any is missing or no push is known.
    """

    rows: Sequence[ServingRow]
    more: int
    probed: int
    serving: int
    took_s: float | None


def rollout_of(entry: Entry, views: Mapping[NodeName, ServedNode]) -> Rollout:
    """Return the nodes that have a certificate in a slot; those not serving it come first."""
    rows, probed, took = [], set(), []
    for place in entry.places:
        view = views.get(place.node)
        if view is None:
            continue
        is_serving = view.serves(place.slot) == entry.leaf.fingerprint
        rows.append(ServingRow(node=place.node, slot=place.slot, state=view.state, is_serving=is_serving))
        if place.slot == "server":
            probed.add(place.node)
        if (
            is_serving
            and (push := view.push) is not None
            and push.result == "applied"
            and push.concluded_at_s
        ):
            took.append(max(0.0, push.concluded_at_s - push.changed_at_s))
    rows.sort(key=lambda row: (row.is_serving, row.node, row.slot))
    serving = sum(1 for row in rows if row.slot == "server" and row.is_serving)
    return Rollout(
        rows=rows[:PLACES_MAX],
        more=max(0, len(rows) - PLACES_MAX),
        probed=len(probed),
        serving=serving,
        took_s=max(took) if took and serving == len(probed) else None,
    )


def tiles(counts: Mapping[str, int]) -> list[Tile]:
    """Sum up the states. The last tile is omitted if empty."""
    made = []
    for kind, title, states in _TILES:
        found = [(STATES[state][1].lower(), counts.get(state, 0)) for state in states]
        detail = ", ".join(f"{count:,} {name}" for name, count in found if count) if len(states) > 1 else ""
        made.append(
            Tile(
                kind=kind,
                title=title,
                states=states,
                count=sum(count for _, count in found),
                detail=detail,
            )
        )
    return made if made[-1].count else made[:-1]


def recent_pushes(views: Iterable[Pushed], *, now_s: float) -> RecentPushes | None:
    """Summarise each node's latest push, if applied within a day; None for none."""
    took = [
        max(0.0, push.concluded_at_s - push.changed_at_s)
        for view in views
        if (push := view.push) is not None
        and push.result == "applied"
        and push.concluded_at_s is not None
        and push.concluded_at_s > now_s - RECENT_S
    ]
    return RecentPushes(len(took), median(took), max(took)) if took else None


def wave(views: Iterable[Pushed], *, now_s: float) -> Wave:
    """Collect pushes that are running or began recently."""
    recent = [
        (view, push)
        for view in views
        if (push := view.push) is not None
        and (push.concluded_at_s is None or push.offered_at_s > now_s - WAVE_S)
    ]
    kinds = Counter(_ended(push) for _, push in recent)
    return Wave(
        total=len(recent),
        under_way=kinds["under_way"],
        applied=kinds["applied"],
        failed=kinds["failed"],
        rows=nsmallest(
            ROWS_MAX, recent, key=lambda each: (_RANK[_ended(each[1])], -each[1].offered_at_s, each[0].name)
        ),
    )


_RANK: Final = {"under_way": 0, "failed": 1, "applied": 2}


def _ended(push: PushView) -> str:
    if push.concluded_at_s is None:
        return "under_way"
    return "applied" if push.result == "applied" else "failed"
