"""Consequences of placing certificates: for slots that get, lose or keep one, and for changed node names.

Pure. Judges a certificate in its future place and compares it with the present one. Invariant: a fault that
the replaced certificate already had is no consequence.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from common.codes import ChainState
from common.ids import NodeName
from common.pki.finding import LintCode, Severity, by_severity
from common.pki.path import has_ended
from common.words import date, listed
from manager.domain.comparison import CertificateDifference, compare, compare_request, find_uncovered
from manager.domain.consequences import (
    Consequence,
    ConsequenceCode,
    left_without,
    name_entry,
    of_difference,
    short_name,
    unique,
)
from manager.domain.inventory import Entry, Inventory
from manager.domain.model import AssignmentRecord, CsrRecord, NodeRecord
from manager.domain.moves import Move


def of_moves(inventory: Inventory, moves: Sequence[Move], *, now_s: int) -> list[Consequence]:
    """Return the consequences of slots changing their certificates."""
    changed = [each for each in moves if each.before is not None or each.after is not None]
    found: list[Consequence] = []
    for group in _grouped(changed, lambda move: (move.slot, _mark(move.after))):
        after = group[0].after
        if after is not None:
            found += _of_placing(inventory, after, group, now_s=now_s)
    for group in _grouped(changed, lambda move: (_mark(move.before), _mark(move.after))):
        found += _of_replacing(group)
    return unique(found)


def of_content(before: Entry, after: Entry) -> list[Consequence]:
    """Return the losses when an entry's content changes, wherever it is assigned."""
    return [of_difference(each) for each in _differences(before, after)]


def of_answer(request: CsrRecord, answer: Entry, replaced: Entry | None) -> list[Consequence]:
    """Return what an answer lacks compared with its request and with the certificate that it replaces."""
    found = compare_request(request.subject_alt_names, request.raw_subject, answer.leaf)
    if replaced is not None:
        found += _differences(replaced, answer)
    return [of_difference(each) for each in found]


def of_ordering(names: Collection[str], moves: Sequence[Move]) -> list[Consequence]:
    """Return the consequences for slots of a certificate that a CA has yet to sign; only its names are known."""
    groups = _grouped(moves, lambda move: _mark(move.before))
    return unique(
        _taken(group[0].before, tuple(move.node for move in group), names)
        for group in groups
        if group[0].before is not None and not group[0].before.temporary
    )


def of_describing(
    before: NodeRecord, after: NodeRecord, inventory: Inventory, moves: Sequence[Move], *, now_s: int
) -> list[Consequence]:
    """Return the consequences of a node getting other names, and its slots other certificates."""
    changed = replace_node(inventory, after)
    found = of_moves(changed, moves, now_s=now_s)
    number = inventory.slots.get((before.name, "server"))
    if number is not None and not any(move.slot == "server" for move in moves):
        entry = inventory.entries[number]
        known = find_uncovered(entry.leaf, before)
        if not entry.temporary and any(name not in known for name in find_uncovered(entry.leaf, after)):
            found += _name_mismatch(changed, entry, [before.name])
    return found


def mismatches(inventory: Inventory, entry: Entry, nodes: Iterable[NodeName]) -> Mapping[NodeName, list[str]]:
    """Return, by node, the names for which clients reject a certificate; temporary ones are not checked."""
    if entry.temporary:
        return {}
    found = {}
    for name in dict.fromkeys(nodes):
        if names := find_uncovered(entry.leaf, inventory.nodes[name]):
            found[name] = names
    return found


def its_names(entry: Entry) -> str:
    """Return a sentence with the names of a certificate."""
    names = entry.leaf.subject_alt_names
    return f"It is valid for {listed(names)}." if names else "It has no subject alternative name."


def replace_node(inventory: Inventory, record: NodeRecord) -> Inventory:
    """Return an inventory with `record` as the node's description."""
    return replace(inventory, nodes={**inventory.nodes, record.name: record})


def place(entry: Entry, moves: Iterable[Move]) -> Entry:
    """Return an entry with the places that it would have after the moves."""
    places = tuple(
        AssignmentRecord(node=move.node, slot=move.slot, certificate_id=entry.id) for move in moves
    )
    return replace(entry, places=places)


def _of_placing(
    inventory: Inventory, after: Entry, group: Sequence[Move], *, now_s: int
) -> list[Consequence]:
    """Judge a certificate in these slots; faults that their former certificates had are no consequence."""
    nodes = tuple(move.node for move in group)
    found: list[Consequence] = []
    if group[0].slot == "server":
        found += _name_mismatch(inventory, after, nodes)
    if has_ended(after.leaf, now_s=now_s):
        found.append(
            Consequence(
                code=ConsequenceCode.EXPIRED,
                message=f"It expired on {date(after.leaf.not_after_s)}: nodes refuse it, and keep what they have.",
                severity=Severity.ERROR,
                asks=True,
                nodes=nodes,
            )
        )
    had = _common_codes(inventory, [move.before for move in group], now_s=now_s)
    # a root that only clients know needs no confirmation; losing a complete chain does
    unasked = {LintCode.CHAIN} if had is None else had
    judged = inventory.judge_new(place(after, group), now_s=now_s)
    if judged.chain.state is ChainState.SELF_SIGNED and any(
        move.before is not None and not move.before.leaf.is_self_signed for move in group
    ):
        found.append(
            Consequence(
                code=ConsequenceCode.SELF_SIGNED,
                message="It is self-signed, and replaces one that a CA issued: clients that were not told to trust it refuse it.",
                severity=Severity.WARNING,
                asks=True,
                nodes=nodes,
            )
        )
    for finding in by_severity(judged.findings):
        if finding.severity is not Severity.ERROR or finding.code is LintCode.NODE_NAME_MISMATCH:
            continue
        message = finding.message
        if finding.code is LintCode.NOT_YET_VALID:
            message = f"It is valid only from {date(after.leaf.not_before_s)}: nodes keep what they have until then."
        found.append(
            Consequence(
                code=finding.code,
                message=message,
                severity=finding.severity,
                asks=finding.code is LintCode.NOT_YET_VALID or finding.code not in unasked,
                nodes=nodes,
            )
        )
    return found


def _common_codes(
    inventory: Inventory, before: Iterable[Entry | None], *, now_s: int
) -> set[LintCode] | None:
    """Return the findings that all of these share, None if a slot was empty or had a temporary one."""
    every = list(before)
    if any(each is None or each.temporary for each in every):
        return None
    numbers = {each.id for each in every if each is not None and each.id in inventory.entries}
    codes = [{each.code for each in inventory.findings(number, now_s=now_s)} for number in numbers]
    return set.intersection(*codes) if codes else set()


def _name_mismatch(inventory: Inventory, entry: Entry, nodes: Iterable[NodeName]) -> list[Consequence]:
    missing = mismatches(inventory, entry, nodes)
    if not missing:
        return []
    where = listed(f"{name} ({listed(names)})" for name, names in missing.items())
    return [
        Consequence(
            code=ConsequenceCode.NAME_MISMATCH,
            message=f"It is not valid for names of {where}: clients that use them refuse it. {its_names(entry)}",
            severity=Severity.ERROR,
            asks=True,
            nodes=tuple(missing),
        )
    ]


def _of_replacing(group: Sequence[Move]) -> list[Consequence]:
    before, after = group[0].before, group[0].after
    nodes = tuple(dict.fromkeys(move.node for move in group))
    if before is None:
        return []
    if after is None:
        return [left_without(before, nodes)]
    if before.leaf == after.leaf or before.temporary:
        return []
    return [replace(of_difference(each), nodes=nodes) for each in _differences(before, after)]


def _taken(before: Entry, nodes: tuple[NodeName, ...], names: Collection[str]) -> Consequence:
    verb = "loses" if len(nodes) == 1 else "lose"
    lost = [each for each in before.leaf.subject_alt_names if not _is_among(each.lower(), names)]
    lacks = f" The new one lacks {listed(lost)}: clients that use these names refuse it." if lost else ""
    return Consequence(
        code=ConsequenceCode.SLOT_TAKEN,
        message=f"{listed(nodes)} {verb} {name_entry(before)} to the new one, once its CA has signed it.{lacks}",
        severity=Severity.WARNING,
        asks=True,
        nodes=nodes,
    )


def _is_among(name: str, names: Collection[str]) -> bool:
    """Whether a name is one of these, or matches a wildcard among them (RFC 6125 6.4.3)."""
    return name in names or "*." + name.partition(".")[2] in names


def _differences(before: Entry, after: Entry) -> list[CertificateDifference]:
    """Compare two entries, or an entry's content before and after a change."""
    return compare(before.leaf, after.leaf, label=short_name(before), in_place=before.id == after.id)


def _grouped(moves: Iterable[Move], key: Callable[[Move], object]) -> list[list[Move]]:
    groups: dict[object, list[Move]] = {}
    for move in moves:
        groups.setdefault(key(move), []).append(move)
    return list(groups.values())


def _mark(entry: Entry | None) -> object:
    return None if entry is None else (entry.id, entry.leaf.fingerprint)
