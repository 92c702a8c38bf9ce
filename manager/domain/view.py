"""View of one node at one moment, for the planner, the API and people.

Decides which word describes a node. Invariant: `desired`, `offered`, `applied` and `serving` are four
separate facts; none is derived from another, and only the node's own report changes `applied` and `serving`.
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
    """A node's generation: its number and content digest."""

    epoch: int
    generation: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """The four facts of one slot, as leaf fingerprints. `serving` is None if nothing was probed for the slot."""

    desired: Fingerprint | None
    offered: Fingerprint | None
    applied: Fingerprint | None
    serving: Fingerprint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushView:
    """The latest attempt to deliver a generation to a node.

    `changed_at_s` is when its change was made; `concluded_at_s` is None while the push is running.
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

    `republished`: the desired content is older content, which stays until the node's assigned content
    changes. `refused` are the desired parts that the node rejects, with reasons; it runs the others. `rivals`
    are the addresses of agents that recently took the connection from each other: they share one key.
    `turned_away` is why its agent's last greeting was rejected, "" if it was welcomed. `key_change` is how it
    got its key, None without a key or if it joined before this was recorded; `key_replaced` is the same if
    the key recently replaced another. `flood` is its current excess, and the source. `is_incredible`: it
    claims a generation that no store can have published. `manager_addresses` are those it dials, and
    `manager_host_keys` the manager keys that it knows, None if its agent never said so.
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
        """Return the leaf that a slot was seen to serve, None if nothing was probed for it."""
        facts = self.slots.get(slot)
        return facts.serving if facts is not None else None

    @property
    def tries_again(self) -> bool:
        """Whether a failed push is being retried: it counts as failed until applied, so a retry is not news."""
        failed, desired = self.last_failed, self.desired
        if self.state != "installing" or failed is None or desired is None:
            return False
        return failed.digest == desired.digest and failed.reason != Reason.NOT_YET_VALID

    @property
    def awaits_success(self) -> bool:
        """Whether an installation failed and the desired content, the same or other, is not applied yet."""
        failed, desired, applied = self.last_failed, self.desired, self.applied
        if failed is None or desired is None or failed.reason == Reason.NOT_YET_VALID:
            return False
        return applied is None or applied.digest != desired.digest

    @property
    def excused(self) -> frozenset[str]:
        """Consumers whose ports need not show the installed certificate yet."""
        return excused_consumers(
            self.waiting, last_report_s=self.last_report_at_s, clock_skew_s=self.clock_skew_s
        )


SERVICE_WAIT_S: Final = 3600.0
"""Time that a stopped service is merely waited for; after that clients are assumed to find its ports closed."""


def first_end_s(serving: Iterable[Serving]) -> int | None:
    """Return when the first served server certificate expires; None if none was seen."""
    # an agent of the first version did not say when
    ends = [seen.ends_s for seen in serving if seen.slot == "server" and seen.ends_s is not None]
    return min(ends, default=None)


def excused_consumers(
    waiting: Iterable[Waiting], *, last_report_s: float | None, clock_skew_s: float
) -> frozenset[str]:
    """Return the consumers whose ports need not show the installed certificate yet.

    `last_report_s` is by the manager's clock.
    """
    return frozenset(
        each.consumer
        for each in waiting
        if each.reason != "service" or (last_report_s or 0.0) + clock_skew_s - each.since_s < SERVICE_WAIT_S
    )


def is_stale(seen: Serving, applied: str) -> bool:
    """Whether an endpoint shows a leaf ("" for none) or chain other than the applied one."""
    return seen.leaf != applied or bool(seen.leaf and seen.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPush:
    """Planned push to one node, or the reason for none (`action` "none").

    `retry_after_s` is the remaining back-off after a failure.
    """

    node: NodeName
    action: PushAction
    why: str
    generation: int | None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Effect of a push on one node: `runs` is what it applied, `becomes` is None if that would stay."""

    plan: PlannedPush
    runs: Version | None
    becomes: Manifest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """Previews of several nodes, with the unpublished files. Never shown: some of them are private keys."""

    nodes: Sequence[Preview]
    bodies: Mapping[Digest, bytes] = field(repr=False)
