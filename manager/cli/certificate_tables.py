"""Table rows of certificates, trusted CAs, requests and alarms. Pure: depend on answers and given time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from rich.text import Text

from common.api.alarms import AlarmAnswer
from common.api.certificates import CertificateAnswer, Place, SlotAnswer
from common.api.errors import ConsequenceAnswer
from common.api.findings import Finding, Status
from common.api.signing_requests import RequestAnswer
from common.api.trust import BuiltinCa, TrustedCaAnswer
from common.pki.finding import LintCode
from common.text import printable
from manager.cli import output
from manager.cli.failures import consequence_line
from manager.cli.words import ago, display_name, end_of, until

PLACES_SHOWN: Final = 3
"""Nodes shown per certificate, which may be on thousands; `show` lists them all."""

STATUS_STYLES: Final[Mapping[str, str]] = {
    "good": "green",
    "unreadable": "bold red",
    "expiring": "yellow",
    "temporary": "yellow",
    "weak_signature": "red",
    "empty_subject": "yellow",
    "expired": "bold red",
    "error": "bold red",
    "warning": "yellow",
}
"""Colours only repeat the status text."""

_FINE_CHAINS: Final = frozenset({"", "complete", "self_signed"})
"""Chain states that are not shown; a self-signed certificate has a status for that."""

HINT: Final = "certcast explain CODE says who refuses it"
"""The last line after lines with codes."""

_EXPLAINED: Final = frozenset({*LintCode, "name_mismatch", "expired", "self_signed"})
"""Codes of findings and consequences that `certcast explain` explains."""

_CODED: Final = re.compile(r" \[[a-z_]+\]$")

LIST_HEADINGS: Final = ("id", "subject\nissuer", "expires", "leaf", "status", "nodes")
NODE_HEADINGS: Final = ("node", "slot", "id", "subject", "expires", "status")
IMPORT_HEADINGS: Final = ("id", "subject", "was", "expires", "status", "nodes")
CA_HEADINGS: Final = ("id", "subject\nissuer", "expires", "leaf", "status", "kind")
ALARM_HEADINGS: Final = ("id", "level", "what", "raised", "seen by")
HISTORY_HEADINGS: Final = ("id", "level", "what", "raised", "lowered", "seen by")
REQUEST_HEADINGS: Final = ("id", "subject\nnames", "key", "made", "replaces", "answered by")
BUILTIN_HEADINGS: Final = ("subject", "expires", "leaf", "status")
FOLDED: Final = frozenset(
    {"subject", "subject\nissuer", "subject\nnames", "nodes", "what", "chain of trust", "problems", "kind"}
)
"""Columns that are folded on narrow terminals; the others stay whole."""

Row = tuple[output.Cell, ...]
Stored = CertificateAnswer | TrustedCaAnswer
"""A stored entry: a TLS certificate or a trusted CA."""


def list_row(each: CertificateAnswer, now_s: float) -> Row:
    """Return a certificate's row in the list of all."""
    return (
        *_identity_cells(each, now_s),
        _status_cell(each),
        _some_places(each.nodes),
    )


def node_row(slot: SlotAnswer, now_s: float) -> Row:
    """Return the row of a node's slot."""
    if (found := slot.certificate) is None:
        return (slot.node, slot.slot, "-", Text("no certificate", style="red"), "-", "-")
    return (
        slot.node,
        slot.slot,
        str(found.id),
        display_name(found),
        expiry(found, now_s),
        _status_cell(found),
    )


def import_row(each: Stored, now_s: float) -> Row:
    """Return the row of a certificate or CA that was imported."""
    was = "updated" if each.created is False else "added"
    what: tuple[output.Cell, output.Cell] = (
        (ca_kind(each), "all")
        if isinstance(each, TrustedCaAnswer)
        else (_status_cell(each), _some_places(each.nodes))
    )
    return (str(each.id), display_name(each), was, expiry(each, now_s), *what)


def ca_row(each: TrustedCaAnswer, now_s: float) -> Row:
    """Return a trusted CA's row."""
    return (
        *_identity_cells(each, now_s),
        Text("unusable", style="bold red") if each.faults else ca_statuses(each, "\n"),
        ca_kind(each),
    )


def builtin_row(each: BuiltinCa, now_s: float) -> Row:
    """Return the row of a CA that is built in."""
    return (
        display_name(each),
        until(end_of(each), now_s),
        each.fingerprint[:8],
        each.status,
    )


def request_row(each: RequestAnswer, now_s: float) -> Row:
    """Return a request's row."""
    answered = "deleted" if each.answered_at_s is not None else "-"
    return (
        str(each.id),
        [each.raw_subject or "-", *each.subject_alt_names],
        each.key_type,
        ago(each.created_at_s, now_s),
        str(each.replaces or "-"),
        str(each.answered_by or answered),
    )


def alarm_row(each: AlarmAnswer, now_s: float) -> Row:
    """Return an alarm's row."""
    level = Text(printable(each.level), style=STATUS_STYLES.get(each.level, ""))
    ended = (ago(each.lowered_at_s, now_s),) if each.lowered_at_s is not None else ()
    return (
        str(each.id),
        level,
        (each.name, f"{each.label}: {each.details}"),
        ago(each.raised_at_s, now_s),
        *ended,
        each.acknowledged_by or "-",
    )


def impact_lines(consequences: Iterable[ConsequenceAnswer], findings: Iterable[Finding]) -> list[str]:
    """Return consequences and findings, each once and with its severity, but no notes, which `show` has."""
    shown = list(consequences)
    codes = {each.code for each in shown}
    if "name_mismatch" in codes:
        codes.add("node_name_mismatch")
    found = [
        f"{each.severity or 'warning'}: {add_code(each.message, each.code)}"
        for each in findings
        if each.severity != "note" and each.code not in {*codes, "unassigned"}
    ]
    lines = [add_code(consequence_line(each), each.code) for each in shown]
    return list(dict.fromkeys([*lines, *found]))


def add_code(message: str, code: str) -> str:
    """Return a message with its code, if `certcast explain` knows the code."""
    return f"{message} [{code}]" if code in _EXPLAINED else message


def is_coded(lines: Iterable[str]) -> bool:
    """Whether any of these lines has a code to look up."""
    return any(_CODED.search(line) for line in lines)


def places(nodes: Iterable[Place]) -> str:
    """Name every place."""
    return ", ".join(_place(each) for each in nodes)


def expiry(each: Stored, now_s: float) -> str:
    """Say how long an entry is still valid."""
    return until(end_of(each), now_s)


def ca_kind(each: TrustedCaAnswer) -> str:
    """Return a trusted CA's kind in words: its use."""
    if each.held_out:
        return "held out"
    if each.self_signed:
        return "peer, trusted as itself" if each.is_ca is False else "root"
    return "intermediate" if each.trusted_intermediate else "intermediate, chains only"


def all_statuses(found: CertificateAnswer, between: str = ", ") -> Text:
    """Return the headline, then the other statuses; Good appears only alone."""
    first = found.headline
    style = STATUS_STYLES.get(first.code, STATUS_STYLES.get(first.severity, ""))
    worst = Text(printable(first.text), style=style)
    return Text(between).join([worst, *_statuses(found.statuses, without={first.code, "good"})])


def ca_statuses(found: TrustedCaAnswer, between: str = ", ") -> Text:
    """Return a CA's statuses, led by "Held out" if nodes do not get it; Good does not appear with that."""
    if found.held_out:
        held_out = Text("Held out", style=STATUS_STYLES["error"])
        return Text(between).join([held_out, *_statuses(found.statuses or (), without={"good"})])
    return Text(between).join(_statuses(found.statuses or (), without=set()))


def _statuses(found: Iterable[Status], *, without: AbstractSet[str]) -> list[Text]:
    return [
        Text(printable(each.text), style=STATUS_STYLES.get(each.code, ""))
        for each in found
        if each.code not in without
    ]


def _status_cell(each: CertificateAnswer) -> Text:
    """Return the coloured headline, the other statuses, and the chain's fault unless that is the headline."""
    shown = all_statuses(each, "\n")
    if each.chain_state not in _FINE_CHAINS and each.chain_state != each.headline.code:
        shown.append(f"\nchain {printable(each.chain_state.replace('_', ' '))}", style="yellow")
    return shown


def _identity_cells(each: Stored, now_s: float) -> Row:
    return (str(each.id), _with_issuer(each), expiry(each, now_s), each.fingerprint[:8])


def _with_issuer(each: Stored) -> output.Cell:
    issuer = each.issuer_name or each.raw_issuer or ""
    return display_name(each) if issuer == each.subject_name else (display_name(each), issuer)


def _place(each: Place) -> str:
    return each.node if each.slot == "server" else f"{each.node} ({each.slot})"


def _some_places(nodes: Sequence[Place]) -> output.Cell:
    shown = [_place(each) for each in nodes[:PLACES_SHOWN]]
    if (more := len(nodes) - len(shown)) > 0:
        shown.append(f"and {more} more")
    return shown or "-"
