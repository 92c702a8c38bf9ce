"""Which conditions an operator must see, and what becomes of the alarms that say so.

Decides from state alone (level-triggered): an alarm stands as long as its condition is found, whoever missed the event that
made it. Leaves finding the state, the clock and the keeping to the shell.
Invariant: at most one active alarm for each kind and subject.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from common.api.codes import ChainState, State
from common.api.explained.meanings import ALARM_TITLES
from common.ids import NodeName
from common.pki.expiry import DAY_S, LONG_LIFE_S, Nearness, lifetime_s, nearness
from common.wire.messages import Serving
from common.words import counted, span_of
from manager.domain.comparison import date, listed
from manager.domain.inventory import Entry, Inventory
from manager.domain.model import KeyChange, TrustedCaRecord
from manager.domain.placing import its_names, mismatches
from manager.domain.trust import client_ca_list
from manager.domain.view import NodeView, is_stale

Level = Literal["error", "warning"]

OUT_OF_SYNC_S: Final = 60.0
"""What is not repaired within the minute that the specification allows is worth an alarm."""

STAPLING_S: Final = 600.0
"""A service that was just reloaded asks its CA's responder at the first handshake, and staples from then on."""

CLOCK_SKEW_S: Final = 300.0
"""A node's clock that is further off than this calls fresh certificates not yet valid."""


class AlarmKind(StrEnum):
    """What can be wrong; stable for machines."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """What is the same for all alarms of a kind. `delay_s` is how long the condition must have lasted."""

    number: int
    title: str
    level: Level
    delay_s: float = 0.0


TRAITS: Final[Mapping[AlarmKind, Trait]] = MappingProxyType(
    {
        AlarmKind.NO_CERTIFICATE: Trait(number=1, title=ALARM_TITLES["no_certificate"], level="error"),
        AlarmKind.CHAIN_INCOMPLETE: Trait(number=2, title=ALARM_TITLES["chain_incomplete"], level="error"),
        AlarmKind.CERTIFICATE_EXPIRING: Trait(
            number=3, title=ALARM_TITLES["certificate_expiring"], level="warning"
        ),
        AlarmKind.CERTIFICATE_EXPIRED: Trait(
            number=4, title=ALARM_TITLES["certificate_expired"], level="error"
        ),
        AlarmKind.CA_EXPIRING: Trait(number=5, title=ALARM_TITLES["ca_expiring"], level="warning"),
        AlarmKind.CA_EXPIRED: Trait(number=6, title=ALARM_TITLES["ca_expired"], level="error"),
        AlarmKind.OUT_OF_SYNC: Trait(
            number=7, title=ALARM_TITLES["out_of_sync"], level="warning", delay_s=OUT_OF_SYNC_S
        ),
        AlarmKind.NOT_SERVING: Trait(
            number=8,
            title=ALARM_TITLES["not_serving"],
            level="error",
            delay_s=OUT_OF_SYNC_S,
        ),
        AlarmKind.INSTALL_FAILED: Trait(number=9, title=ALARM_TITLES["install_failed"], level="error"),
        AlarmKind.DRIFTED: Trait(
            number=10, title=ALARM_TITLES["drifted"], level="warning", delay_s=OUT_OF_SYNC_S
        ),
        AlarmKind.OFFLINE: Trait(
            number=11, title=ALARM_TITLES["offline"], level="warning", delay_s=OUT_OF_SYNC_S
        ),
        AlarmKind.CONFLICT: Trait(number=12, title=ALARM_TITLES["conflict"], level="error"),
        AlarmKind.CLOCK_SKEW: Trait(
            number=13, title=ALARM_TITLES["clock_skew"], level="warning", delay_s=OUT_OF_SYNC_S
        ),
        AlarmKind.EVALUATION_SILENT: Trait(number=14, title=ALARM_TITLES["evaluation_silent"], level="error"),
        AlarmKind.NAME_MISMATCH: Trait(number=15, title=ALARM_TITLES["name_mismatch"], level="error"),
        AlarmKind.DUPLICATE_IDENTITY: Trait(
            number=16, title=ALARM_TITLES["duplicate_identity"], level="error"
        ),
        AlarmKind.SERVICES_INVALID: Trait(number=17, title=ALARM_TITLES["services_invalid"], level="warning"),
        AlarmKind.MUST_STAPLE_UNPROVEN: Trait(
            number=20,
            title=ALARM_TITLES["must_staple_unproven"],
            level="warning",
            delay_s=STAPLING_S,
        ),
        AlarmKind.TRUSTED_CA_HELD_OUT: Trait(
            number=18, title=ALARM_TITLES["trusted_ca_held_out"], level="error"
        ),
        AlarmKind.CLIENT_CA_LIST_TOO_LONG: Trait(
            number=19, title=ALARM_TITLES["client_ca_list_too_long"], level="warning"
        ),
        AlarmKind.CERTIFICATE_HELD_OUT: Trait(
            number=21, title=ALARM_TITLES["certificate_held_out"], level="error"
        ),
        AlarmKind.AUDIT_LOG_BROKEN: Trait(number=22, title=ALARM_TITLES["audit_log_broken"], level="error"),
        AlarmKind.KEY_REPLACED: Trait(number=23, title=ALARM_TITLES["key_replaced"], level="warning"),
        AlarmKind.NODE_FLOODS: Trait(number=24, title=ALARM_TITLES["node_floods"], level="error"),
    }
)

_STATE_KINDS: Final = MappingProxyType(
    {
        "pending": AlarmKind.OUT_OF_SYNC,
        "installing": AlarmKind.OUT_OF_SYNC,
        "failed": AlarmKind.INSTALL_FAILED,
        "drifted": AlarmKind.DRIFTED,
        "not_serving": AlarmKind.NOT_SERVING,
        "offline": AlarmKind.OFFLINE,
        "conflict": AlarmKind.CONFLICT,
    }
)

_AWAY_FROM_FAILED: Final[frozenset[State]] = frozenset({"pending", "installing", "offline"})
"""States that a node passes through between a failure and the attempt that ends it: they say nothing of whether it is over."""

_NO_WAY_TO_A_ROOT: Final = frozenset(
    {
        ChainState.INCOMPLETE,
        ChainState.UNDETERMINED,
        ChainState.UNTRUSTED,
        ChainState.INVALID,
        ChainState.EXPIRED,
    }
)
"""Chains that no client will follow up to a trusted root; a self-signed certificate says so by its status."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alarm is about, as one word: `node:conf1`, `certificate:12`, `trusted_ca:3`, `manager`."""

    kind: AlarmKind
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now. `label` names the subject for people, `node` is a node's name or "".

    One that only `sustains` keeps an alarm that stands, and raises none.
    """

    subject: Subject
    label: str
    details: str
    node: str = ""
    sustains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """An alarm as the store keeps it; active while `lowered_s` is None. Times are unix seconds."""

    id: int
    subject: Subject
    label: str
    node: str
    details: str
    raised_s: float
    lowered_s: float | None
    acknowledged_s: float | None
    acknowledged_by: str | None

    @property
    def trait(self) -> Trait:
        """Return what is the same for all alarms of this kind."""
        return TRAITS[self.subject.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to do so that the active alarms say what is: raise, lower (by id), and word anew (by id)."""

    raised: Sequence[Condition]
    lowered: Sequence[AlarmRecord]
    reworded: Mapping[int, Condition]

    @property
    def is_empty(self) -> bool:
        """Whether everything stays as it is."""
        return not (self.raised or self.lowered or self.reworded)


def conditions_of_inventory(
    inventory: Inventory, *, republished: Mapping[NodeName, Entry], now_s: float
) -> list[Condition]:
    """Return what is wrong with certificates, trusted CAs and assignments (the specification's "Alarms").

    `republished` are the certificates that nodes are to serve by older content that stands in for what is assigned.
    """
    second = int(now_s)
    found: list[Condition] = []
    for entry in inventory.entries.values():
        found += _of_certificate(entry, inventory, second)
    for record in inventory.trusted_cas.values():
        found += _of_trusted_ca(record, second)
    found += _of_trust_files(inventory)
    found += [
        Condition(
            subject=Subject(AlarmKind.NO_CERTIFICATE, f"node:{name}"),
            label=name,
            node=name,
            details="No certificate is assigned to it; it keeps serving what it has, if anything.",
        )
        for name in inventory.nodes
        if (name, "server") not in inventory.slots
    ]
    assigned = {
        name: inventory.entries[number]
        for (name, slot), number in inventory.slots.items()
        if slot == "server"
    }
    for name, entry in {**assigned, **republished}.items():
        if name in inventory.nodes:
            found += _of_names(name, entry, inventory)
    return found


def conditions_of_nodes(views: Iterable[NodeView]) -> list[Condition]:
    """Return what is wrong with nodes."""
    found: list[Condition] = []
    for view in views:
        state: State = "failed" if view.tries_again else view.state
        kind = _STATE_KINDS.get(state)
        if kind is not None:
            found.append(_of_node(view, kind, _state_details(view, state)))
        if state in _AWAY_FROM_FAILED and view.awaits_success:
            still = _of_node(view, AlarmKind.INSTALL_FAILED, _state_details(view, "failed"))
            found.append(replace(still, sustains=True))
        # a clock that was heard long ago says nothing
        if view.connected_s is not None and abs(view.clock_skew_s) > CLOCK_SKEW_S:
            details = f"Its clock is {view.clock_skew_s:+.0f} s from the manager's; check its time service."
            found.append(_of_node(view, AlarmKind.CLOCK_SKEW, details))
        if view.rivals:
            found.append(_of_node(view, AlarmKind.DUPLICATE_IDENTITY, _rivalry(view)))
        if view.key_replaced is not None:
            found.append(_of_node(view, AlarmKind.KEY_REPLACED, _replacement(view.key_replaced)))
        if view.flood:
            details = (
                f"Too many {view.flood}. No agent says that much: it is sent away for a while, longer each time. "
                "Look at what runs on that machine."
            )
            found.append(_of_node(view, AlarmKind.NODE_FLOODS, details))
        if view.configuration:
            details = " ".join(f"{_sentence(each.message)}" for each in view.configuration)
            found.append(_of_node(view, AlarmKind.SERVICES_INVALID, details))
        if unstapled := [seen for seen in view.serving if seen.stapled is False]:
            named = ", ".join(f"{seen.consumer} at {seen.endpoint}" for seen in unstapled[:5])
            details = f"No OCSP response comes from {named}; clients that honour must-staple refuse it."
            found.append(_of_node(view, AlarmKind.MUST_STAPLE_UNPROVEN, details))
    return found


class Patience:
    """Remembers since when conditions have lasted, and lets through those that have lasted long enough."""

    def __init__(self) -> None:
        self._since: dict[Subject, float] = {}

    def lasting(self, conditions: Iterable[Condition], *, now_s: float) -> list[Condition]:
        """Return the conditions whose kind's delay is over; those that are no longer there are forgotten. `now_s` is monotonic."""
        since: dict[Subject, float] = {}
        lasting = []
        for condition in conditions:
            first_s = since[condition.subject] = self._since.get(condition.subject, now_s)
            if now_s - first_s >= TRAITS[condition.subject.kind].delay_s:
                lasting.append(condition)
        self._since = since
        return lasting


def compare(active: Iterable[AlarmRecord], conditions: Iterable[Condition]) -> Changes:
    """Return what makes the active alarms equal to the conditions."""
    wanted = {condition.subject: condition for condition in conditions}
    standing = {record.subject: record for record in active}
    return Changes(
        raised=[
            condition
            for subject, condition in wanted.items()
            if subject not in standing and not condition.sustains
        ],
        lowered=[record for subject, record in standing.items() if subject not in wanted],
        reworded={
            record.id: wanted[subject]
            for subject, record in standing.items()
            if subject in wanted
            and (wanted[subject].details, wanted[subject].label) != (record.details, record.label)
        },
    )


def _of_certificate(entry: Entry, inventory: Inventory, now_s: int) -> list[Condition]:
    key = f"certificate:{entry.id}"
    found = []
    life_s = lifetime_s(entry.leaf.not_before_s, entry.leaf.not_after_s)
    expiry = _expiry(entry.leaf.not_after_s, now_s, life_s)
    if expiry is not None:
        late, details = expiry
        kind = AlarmKind.CERTIFICATE_EXPIRED if late else AlarmKind.CERTIFICATE_EXPIRING
        found.append(
            Condition(subject=Subject(kind, key), label=entry.label, details=details + _where(entry))
        )
    if entry.is_held_out:
        why = entry.refused[entry.leaf.fingerprint]
        details = f"OpenSSL cannot load it: {why}. Nodes keep what they had.{_where(entry)}"
        subject = Subject(AlarmKind.CERTIFICATE_HELD_OUT, key)
        found.append(Condition(subject=subject, label=entry.label, details=details))
    chain = inventory.chain(entry.id, now_s=now_s)
    # a leaf that has expired has an alarm of its own
    only_leaf = chain.state is ChainState.EXPIRED and not any(link.problems for link in chain.links[1:])
    if chain.state in _NO_WAY_TO_A_ROOT and not only_leaf:
        subject = Subject(AlarmKind.CHAIN_INCOMPLETE, key)
        found.append(Condition(subject=subject, label=entry.label, details=chain.explanation + _where(entry)))
    return found


def _of_names(name: NodeName, entry: Entry, inventory: Inventory) -> list[Condition]:
    """Say for which of its names a node has a certificate that clients refuse: the strict client is asked for each."""
    missing = mismatches(inventory, entry, [name]).get(name)
    if not missing:
        return []
    which = "this name" if len(missing) == 1 else "these names"
    details = f"{entry.label} is not valid for {listed(missing)}: clients that use {which} refuse it. {its_names(entry)}"
    return [
        Condition(
            subject=Subject(AlarmKind.NAME_MISMATCH, f"node:{name}"), label=name, node=name, details=details
        )
    ]


def _of_trust_files(inventory: Inventory) -> list[Condition]:
    """Return what is wrong with the files of trusted CAs that nodes get."""
    found = [
        Condition(
            subject=Subject(AlarmKind.TRUSTED_CA_HELD_OUT, f"trusted_ca:{number}"),
            label=_ca_label(inventory.trusted_cas[number]),
            details=f"Nodes get {_files_of(inventory.trusted_cas[number])} without it, because OpenSSL cannot load it: {why}.",
        )
        for number, why in inventory.trust.held_out.items()
    ]
    too_long = client_ca_list(inventory.trusted_cas, inventory.trust)
    if too_long:
        subject = Subject(AlarmKind.CLIENT_CA_LIST_TOO_LONG, "trusted_cas")
        found.append(Condition(subject=subject, label="Trusted CAs", details=too_long))
    return found


def _files_of(record: TrustedCaRecord) -> str:
    files = ["ca-certificates.pem", "custom-ca.pem"] if record.is_anchor else []
    return " and ".join([*files, *([] if record.self_signed else ["intermediates.pem"])])


def _ca_label(record: TrustedCaRecord) -> str:
    return f"{record.subject_name or record.raw_subject} (trusted CA {record.id})"


def _of_trusted_ca(record: TrustedCaRecord, now_s: int) -> list[Condition]:
    expiry = _expiry(record.not_after_s, now_s)
    if expiry is None:
        return []
    late, details = expiry
    kind = AlarmKind.CA_EXPIRED if late else AlarmKind.CA_EXPIRING
    subject = Subject(kind, f"trusted_ca:{record.id}")
    return [Condition(subject=subject, label=_ca_label(record), details=details)]


def _expiry(not_after_s: int, now_s: int, life_s: int = LONG_LIFE_S) -> tuple[bool, str] | None:
    """Tell whether it has expired, and in words when; None while its end is not near enough for an alarm."""
    near = nearness(not_after_s, now_s=now_s, life_s=life_s)
    if near is Nearness.OVER:
        return True, f"It expired {_span(now_s - not_after_s)} ago."
    if near is Nearness.ALARM:
        return False, f"It expires in {_span(not_after_s - now_s)}."
    return None


def _span(seconds: int) -> str:
    """Say whole days, as the list of certificates does; of less than one, hours or minutes."""
    return counted(seconds // DAY_S, "day") if seconds >= DAY_S else span_of(seconds)


def _where(entry: Entry) -> str:
    names = list(dict.fromkeys(place.node for place in entry.places))
    if not names:
        return " It is not assigned to any node."
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f" It is assigned to {shown}."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _of_node(view: NodeView, kind: AlarmKind, details: str) -> Condition:
    return Condition(
        subject=Subject(kind, f"node:{view.name}"), label=view.name, node=view.name, details=details
    )


def _state_details(view: NodeView, state: State) -> str:
    text = _why_state(view, state)
    # only one reason leads; what else the node refuses is told as well
    untold = [each for each in view.refused if each.reason not in text]
    return " ".join([text, *(f"It refuses {each.part} ({each.reason}): {each.message}." for each in untold)])


def _why_state(view: NodeView, state: State) -> str:
    match state:
        case "failed":
            failed, applied = view.last_failed, view.applied
            reached = applied.generation if applied is not None and view.refused else None
            if failed is not None and reached == failed.generation:
                return (
                    f"Generation {failed.generation} is installed in part ({failed.reason}): {failed.message}"
                )
            if failed is not None:
                return f"Generation {failed.generation} failed ({failed.reason}): {failed.message}"
            push = view.push
            return (
                f"The last push failed ({push.reason}): {push.message}" if push else "The last push failed."
            )
        case "offline" if view.turned_away:
            return f"It has no connection to the manager: {view.turned_away}."
        case "offline":
            return "It has no connection to the manager; it gets what changed when it is back."
        case "drifted":
            return "What is on its disk is not what was installed; the agent repairs it."
        case "not_serving":
            excused, down = view.excused, {each.consumer: each.message for each in view.waiting}
            stale = [seen for seen in view.serving if _is_stale(view, seen) and seen.consumer not in excused]
            named = ", ".join(f"{seen.consumer} at {seen.endpoint}" for seen in stale[:5]) or "a service"
            why = "".join(
                f" {down[name]}." for name in sorted({seen.consumer for seen in stale} & down.keys())
            )
            return f"Not the installed certificate is shown by {named}.{why}"
        case "conflict" if view.is_incredible and view.applied is not None:
            return (
                f"It claims to run generation {view.applied.generation}, which no manager can have published. Look at what runs on that "
                "machine; what is pushed by force keeps its own numbers."
            )
        case "conflict":
            return "It runs a generation that this store never published; a forced push replaces it."
        case _:
            return "What it applied is not what is desired."


def _rivalry(view: NodeView) -> str:
    where = " and ".join(dict.fromkeys(view.rivals))
    return (
        f"Agents at {where} connect with the key of this node and displace each other. Stop the copy, remove its "
        "identity, and let it join as a node of its own."
    )


def _replacement(change: KeyChange) -> str:
    how = "with a join token" if change.how == "rejoined" else "on the word of its former key"
    until = f"; its former key was last used from {change.former_address}" if change.former_address else ""
    return (
        f"Its key was replaced on {date(int(change.at_s))} {how}, from {change.address}{until}. The new key is {change.fingerprint}. "
        "If nobody did that on purpose, a copy of its key or a token is in other hands: remove the node, and let it join anew."
    )


def _is_stale(view: NodeView, seen: Serving) -> bool:
    facts = view.slots.get(seen.slot)
    return facts is not None and is_stale(seen, facts.applied or "")
