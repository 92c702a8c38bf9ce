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
    """What an endpoint was seen to serve. `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed one, sent with another chain than the installed one. `tls` is the
    protocol version, `sent` counts the certificates sent after the leaf. `strict_client` is "" if a strict client that
    trusts what the node was given accepts it, else why it does not, None if that was not asked yet. `stapled` says whether an
    OCSP response came along with a leaf that demands one (RFC 7633), None if the leaf does not or the port would not tell.
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
        """When the leaf ends, None where that is not known: not seen, not told by an old agent, or not readable."""
        return from_number(self.not_after_s) if self.leaf else None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last generation that a node refused or rolled back; stays until a later success.

    `retry_after_s` is how much longer the digest is in quarantine, relative to the message that carries it.
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
    """A reload that is due and waits: for its window, since the last one was not long ago, or for its service to run."""

    consumer: Name
    since_s: Moment
    reason: Annotated[str, one_of(get_args(WaitReason))]
    message: Text = ""


class ConfigurationFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the node's own configuration and would fail at the next installation or start.

    `code` is stable: services_invalid, program_missing, program_untrusted, unit_missing, copy_target, identity, challenges, health_port; of the
    manager settings_invalid, store_key.
    """

    code: ReasonText
    message: Text


class PartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bundle that is not on the node: its former content is, or none. Stays until the part is installed.

    `digest` is that of the part's content, `file` its path in the bundle, `certificate` names the one to blame, "" for none.
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

    `changed_at_s` is when the change that it carries was made; `concluded_at_s` is None while it is under way.
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

    `republished` says that what is desired is older content, which stays until the assigned content of the node changes.
    `refused` are the parts of what is desired that the node does not take, each with its reason; it runs the others.
    `rivals` are the addresses of agents that have taken the connection from each other lately: they share one key.
    `turned_away` says why its agent was sent away at its last greeting, "" if it was welcomed. `key_change` is how it came by its
    key, None of a node that has none, or joined before this was kept; `key_replaced` is the same where it took the place of another key
    lately. `flood` is what it says or does too much of, and from where. `is_incredible` says that it claims
    to run a generation that no store can have published. `manager_addresses` is where it dials, and
    `manager_host_keys` by which keys it knows this manager, None if its agent never said so.
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
