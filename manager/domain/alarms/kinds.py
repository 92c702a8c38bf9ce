"""Alarm kinds, their specifications, and the conditions that they find."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from common.explained.meanings import ALARM_TITLES
from common.ids import NodeName
from manager.domain.inventory import Entry, Inventory
from manager.domain.view import NodeView

Level = Literal["error", "warning"]

OUT_OF_SYNC_S: Final = 60.0
"""Time after which an unrepaired node raises an alarm: the specification allows a minute."""


class AlarmKind(StrEnum):
    """Kinds of alarms; the values are stable for machines."""

    NO_CERTIFICATE = "no_certificate"
    CHAIN_INCOMPLETE = "chain_incomplete"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CA_EXPIRING = "ca_expiring"
    CA_EXPIRED = "ca_expired"
    OUT_OF_SYNC = "out_of_sync"
    NOT_SERVING = "not_serving"
    INSTALL_FAILED = "install_failed"
    DRIFTED = "drifted"
    OFFLINE = "offline"
    CONFLICT = "conflict"
    CLOCK_SKEW = "clock_skew"
    EVALUATION_SILENT = "evaluation_silent"
    NAME_MISMATCH = "name_mismatch"
    DUPLICATE_IDENTITY = "duplicate_identity"
    SERVICES_INVALID = "services_invalid"
    MUST_STAPLE_UNPROVEN = "must_staple_unproven"
    TRUSTED_CA_HELD_OUT = "trusted_ca_held_out"
    CLIENT_CA_LIST_TOO_LONG = "client_ca_list_too_long"
    CERTIFICATE_HELD_OUT = "certificate_held_out"
    AUDIT_LOG_BROKEN = "audit_log_broken"
    KEY_REPLACED = "key_replaced"
    NODE_FLOODS = "node_floods"
    CERTIFICATE_REFUSED = "certificate_refused"
    MANAGER_TOKEN_REUSED = "manager_token_reused"  # noqa: S105 - a kind
    RENEWAL_FAILED = "renewal_failed"
    RENEWAL_OVERDUE = "renewal_overdue"
    RENEWAL_UNSERVED = "renewal_unserved"
    RENEWAL_REQUESTED = "renewal_requested"
    RENEWAL_STOPPED = "renewal_stopped"
    RENEWAL_PROOF_LEFT = "renewal_proof_left"


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of an alarm. Its key is one word.

    Examples are `node:conf1`, `certificate:12`, `trusted_ca:3`, `renewal:4` and `manager`.
    """

    kind: AlarmKind
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A fault that exists now. `label` names the subject for people; `node` is a node's name or "".

    With `sustains` it keeps an active alarm active but raises none.
    """

    subject: Subject
    label: str
    details: str
    node: str = ""
    sustains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The store's content at a time: the certificates and nodes to check, and all trusted CAs.

    `republished` are the certificates in the older content that nodes serve after it was republished.
    """

    inventory: Inventory
    entries: Collection[Entry]
    nodes: Collection[NodeName]
    republished: Mapping[NodeName, Entry]
    now_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """Properties that all alarms of a kind share. The condition must have lasted for `delay_s`.

    `in_store` finds conditions in the store, `on_node` in what is known about a node; None if not applicable.
    """

    kind: AlarmKind
    number: int
    level: Level
    delay_s: float
    in_store: Callable[[Stored], Iterable[Condition]] | None
    on_node: Callable[[NodeView], Iterable[Condition]] | None

    @property
    def title(self) -> str:
        """Return the kind's name for people."""
        return ALARM_TITLES[self.kind]


def stored_spec(
    kind: AlarmKind, number: int, level: Level, find: Callable[[Stored], Iterable[Condition]]
) -> AlarmSpec:
    """Return the specification of a kind found in the store, without delay."""
    return AlarmSpec(kind=kind, number=number, level=level, delay_s=0.0, in_store=find, on_node=None)


def node_spec(
    kind: AlarmKind,
    number: int,
    level: Level,
    find: Callable[[NodeView], Iterable[Condition]],
    *,
    delay_s: float = 0.0,
) -> AlarmSpec:
    """Return the specification of a kind found in what is known about a node."""
    return AlarmSpec(kind=kind, number=number, level=level, delay_s=delay_s, in_store=None, on_node=find)


def manager_spec(kind: AlarmKind, number: int, level: Level) -> AlarmSpec:
    """Return the specification of a kind that the manager finds in itself."""
    return AlarmSpec(kind=kind, number=number, level=level, delay_s=0.0, in_store=None, on_node=None)


def renewal_spec(kind: AlarmKind, number: int, level: Level) -> AlarmSpec:
    """Return the specification of a kind found when all renewals, orders and accounts are checked together."""
    return AlarmSpec(kind=kind, number=number, level=level, delay_s=0.0, in_store=None, on_node=None)
