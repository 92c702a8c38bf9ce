"""Facts of a node: what is desired of it, what it was offered, what it applied and what its ports serve.

Invariant: the four are separate; none is derived from another.
"""

from typing import Annotated, get_args

import msgspec

from common.api.codes import FailureResult, KeyChangeKind, WaitReason
from common.api.values import (
    Calendar,
    Count,
    Duration,
    Hex,
    Moment,
    Name,
    NodeKindCode,
    PartText,
    PhaseCode,
    ReasonText,
    SlotCode,
    StateCode,
    Text,
    one_of,
)
from common.pki.expiry import from_number


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A generation of a node: where it stands in order, and what it holds."""

    epoch: int
    generation: int
    digest: str


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    """The four facts of one slot, as leaf fingerprints. `serving` is None where nothing was probed for the slot."""

    desired: str | None
    offered: str | None
    applied: str | None
    serving: str | None


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that an endpoint serves. `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed leaf, sent with a chain other than the installed one. `tls` is the
    protocol version; `sent` counts the certificates after the leaf. `strict_client` is "" if a strict client with the
    node's trust store accepts the certificate, otherwise the objection, and None before the check. `stapled` says whether
    an OCSP response came with a leaf that demands one (RFC 7633); None for any other leaf, or if the port does not tell.
    """

    consumer: Name
    endpoint: Name
    slot: SlotCode
    leaf: Hex
    not_after_s: Calendar = 0
    at_s: Moment = 0.0
    reason: ReasonText = ""
    message: Text = ""
    tls: Name = ""
    sent: Count = 0
    strict_client: Text | None = None
    stapled: bool | None = None

    @property
    def ends_s(self) -> int | None:
        """When the leaf expires; None if it was not seen, not readable, or not reported by an old agent."""
        return from_number(self.not_after_s) if self.leaf else None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last generation that a node refused or rolled back, reported until a later success.

    `retry_after_s` is the rest of the digest's quarantine, counted from the message that carries it.
    """

    epoch: Count
    generation: Count
    digest: Hex
    result: Annotated[str, one_of(get_args(FailureResult))]
    phase: PhaseCode
    reason: ReasonText
    message: Text
    at_s: Moment
    attempts: Count
    retry_after_s: Duration


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A due reload that waits for its window, for its minimum interval, or for its service to run."""

    consumer: Name
    since_s: Moment
    reason: Annotated[str, one_of(get_args(WaitReason))]
    message: Text = ""


class ConfigurationFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault in the node's own configuration that would fail the next installation or start.

    `code` is stable: services_invalid, program_missing, program_untrusted, unit_missing, copy_target, identity, challenges, health_port; of the
    manager settings_invalid, store_key.
    """

    code: ReasonText
    message: Text


class PartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bundle that the node refused; it has the former content or none. Reported until installed.

    `digest` is the digest of the part's content, `file` its path in the bundle. `certificate` names the certificate to
    blame, "" for none.
    """

    part: Annotated[str, one_of(("server", "client", "trust"))]
    digest: Hex
    reason: ReasonText
    message: PartText = ""
    file: Name = ""
    certificate: PartText = ""
    attempts: Count = 1
    retry_after_s: Duration = 0.0


class PushView(msgspec.Struct, frozen=True, kw_only=True):
    """The latest attempt to deliver a generation to a node.

    `changed_at_s` is the time of the change that it carries; `concluded_at_s` is None while it is under way.
    """

    push_id: str
    generation: int
    changed_at_s: Moment
    offered_at_s: Moment
    concluded_at_s: Moment | None
    phase: PhaseCode | None
    result: str
    reason: str
    message: str


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a node came by the key that is pinned: by a token when it had none or another, or vouched for by the former key.

    `address` is where the request came from; `former` the fingerprint of the key that this one replaced, and `former_address` where
    the node was last connected from with it; "" if there was none.
    """

    how: Annotated[str, one_of(get_args(KeyChangeKind))]
    at_s: Moment
    address: str
    fingerprint: str
    former: str = ""
    former_address: str = ""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """One node as the manager knows it. Times are unix seconds.

    `republished`: the desired content is older content, which stays until the assigned content of the node changes.
    `refused` lists the parts of the desired content that the node refuses, with reasons; it runs the others.
    `rivals` lists the addresses of agents that recently displaced each other: they share one key.
    `turned_away` says why its agent was refused at its last greeting, "" if it was welcomed. `key_change` tells how it got
    its key, None without a key or if it joined before this was recorded; `key_replaced` is the same if that recently
    replaced another key. `flood` says what it sends too much of, and from where. `is_incredible`: it claims to run a
    generation that no store can have published. `manager_addresses` are the addresses that it dials, and
    `manager_host_keys` the keys by which it knows this manager; None if its agent never reported them.
    """

    name: str
    kind: NodeKindCode
    state: StateCode
    joined: bool
    connected_at_s: Moment | None
    last_report_at_s: Moment | None
    address: str
    agent_version: str
    desired: Version | None
    offered: Version | None
    applied: Version | None
    slots: dict[str, SlotView]
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
