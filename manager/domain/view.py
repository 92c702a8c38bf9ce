"""View of one node at one moment, for the planner, the API and people.

Decides which one word describes a node. Invariant: `desired`, `offered`, `applied` and `serving` are four separate facts;
none is derived from another, and only the node's own report moves `applied` and `serving`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from common.bundle.manifest import Manifest, Slot
from common.codes import NodeKind, Phase, PushAction, State
from common.errors import Reason
from common.ids import Digest, Fingerprint, NodeName
from manager.domain.model import KeyChange
from manager.domain.report import ConfigurationFault, Failure, PartRefused, Serving, Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A generation of a node: where it stands in order, and what it holds."""

    epoch: int
    generation: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """The four facts of one slot, as leaf fingerprints. `serving` is None where nothing was probed for the slot."""

    desired: Fingerprint | None
    offered: Fingerprint | None
    applied: Fingerprint | None
    serving: Fingerprint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushView:
    """The latest attempt to deliver a generation to a node.

    `changed_at_s` is when the change that it carries was made; `concluded_at_s` is None while it is under way.
    """

    push_id: str
    generation: int
    changed_at_s: float
    offered_at_s: float
    concluded_at_s: float | None
    phase: Phase | None
    result: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node as the manager knows it. Times are unix seconds.

    `republished` says that what is desired is older content, which stays until the assigned content of the node changes.
    `refused` are the parts of what is desired that the node does not take, each with its reason; it runs the others.
    `rivals` are the addresses of agents that have taken the connection from each other lately: they share one key.
    `turned_away` says why its agent was sent away at its last greeting, "" if it was welcomed. `key_change` is how it came by its
    key, None of a node that has none, or joined before this was kept; `key_replaced` is the same where it took the place of another key
    lately. `flood` is what it says or does too much of, and from where. `is_incredible` says that it claims
    to run a generation that no store can have published. `manager_addresses` is where it dials, and
    `manager_host_keys` by which keys it knows this manager, None if its agent never said so.
    """

    name: NodeName
    kind: NodeKind
    state: State
    joined: bool
    connected_at_s: float | None
    last_report_at_s: float | None
    address: str
    agent_version: str
    desired: Version | None
    offered: Version | None
    applied: Version | None
    slots: Mapping[Slot, SlotView]
    serving: tuple[Serving, ...]
    last_failed: Failure | None
    drifted: bool
    drifts: int
    clock_skew_s: float
    waiting: tuple[Waiting, ...]
    push: PushView | None
    republished: bool = False
    refused: tuple[PartRefused, ...] = ()
    rivals: tuple[str, ...] = ()
    turned_away: str = ""
    configuration: tuple[ConfigurationFault, ...] = ()
    key_change: KeyChange | None = None
    key_replaced: KeyChange | None = None
    flood: str = ""
    is_incredible: bool = False
    manager_addresses: tuple[str, ...] | None = None
    manager_host_keys: tuple[str, ...] | None = None

    def serves(self, slot: Slot) -> Fingerprint | None:
        """Return the leaf that a slot was seen to serve, None where nothing was probed for it."""
        facts = self.slots.get(slot)
        return facts.serving if facts is not None else None

    @property
    def tries_again(self) -> bool:
        """Whether what failed is on its way once more: it has failed until it is applied, so a retry is not news."""
        failed, desired = self.last_failed, self.desired
        if self.state != "installing" or failed is None or desired is None:
            return False
        return failed.digest == desired.digest and failed.reason != Reason.NOT_YET_VALID

    @property
    def awaits_success(self) -> bool:
        """Whether an installation failed and what is desired, the same content or other, is not applied yet."""
        failed, desired, applied = self.last_failed, self.desired, self.applied
        if failed is None or desired is None or failed.reason == Reason.NOT_YET_VALID:
            return False
        return applied is None or applied.digest != desired.digest

    @property
    def excused(self) -> frozenset[str]:
        """The consumers whose ports need not show what is installed yet."""
        return excused_consumers(
            self.waiting, last_report_s=self.last_report_at_s, clock_skew_s=self.clock_skew_s
        )


SERVICE_WAIT_S: Final = 3600.0
"""How long a service that does not run is merely waited for; after that its ports are what clients find closed."""


def first_end_s(serving: Iterable[Serving]) -> int | None:
    """Return when the first of the server certificates expires that ports were seen to serve; None if none was."""
    # an agent of the first version did not say when
    ends = [seen.ends_s for seen in serving if seen.slot == "server" and seen.ends_s is not None]
    return min(ends, default=None)


def excused_consumers(
    waiting: Iterable[Waiting], *, last_report_s: float | None, clock_skew_s: float
) -> frozenset[str]:
    """Return the consumers whose ports need not show what is installed yet. `last_report_s` is by the manager's clock."""
    return frozenset(
        each.consumer
        for each in waiting
        if each.reason != "service" or (last_report_s or 0.0) + clock_skew_s - each.since_s < SERVICE_WAIT_S
    )


def is_stale(seen: Serving, applied: str) -> bool:
    """Whether an endpoint shows something else than what the node applied: another leaf ("" for none), or another chain."""
    return seen.leaf != applied or bool(seen.leaf and seen.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPush:
    """What a push would do to one node, or why it would do nothing (`action` "none").

    `retry_after_s` says how much longer what failed rests, where the node waits for that.
    """

    node: NodeName
    action: PushAction
    why: str
    generation: int | None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a push would do to one node, and to which content: `runs` is what it applied, `becomes` None if that would stay."""

    plan: PlannedPush
    runs: Version | None
    becomes: Manifest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """Of several nodes, with the files of what is not published yet. Never shown: some of them are private keys."""

    nodes: Sequence[Preview]
    bodies: Mapping[Digest, bytes] = field(repr=False)
