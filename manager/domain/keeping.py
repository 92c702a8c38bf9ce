"""Kept intermediates: those that completed an entry's chain and were not part of its new upload.

Pure. Decides which stored certificates a new text needs, and whether a change shortens the chain for clients.
`manager.pki.chain.chain` searches. Invariant: a text that, with the manager's CAs, completes its chain by
itself is kept as given, up to its root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum, auto

from common.codes import ChainState
from common.ids import NO_CERTIFICATE, CertificateId
from common.pki.certificate import Certificate
from common.pki.finding import Severity
from common.words import listed
from manager.domain.consequences import Consequence, ConsequenceCode, ask, short_name
from manager.domain.inventory import Entry, Inventory
from manager.domain.model import AssignmentRecord
from manager.pki.chain.chain import Chain
from manager.pki.judge.identity import key_of
from manager.pki.read.material import TlsMaterial


class CompanionPolicy(Enum):
    """Treatment of an entry's other certificates when its certificate is edited."""

    DROP = auto()
    KEEP_NEEDED = auto()
    KEEP = auto()


def new_entry(
    material: TlsMaterial,
    *,
    number: CertificateId = NO_CERTIFICATE,
    places: Iterable[AssignmentRecord] = (),
    now_s: float,
) -> Entry:
    """Return the entry that material would become."""
    return Entry(
        id=number,
        leaf=material.leaf,
        uploaded=material.companions,
        temporary=False,
        created_s=now_s,
        changed_s=now_s,
        places=tuple(places),
    )


def complete_material(
    inventory: Inventory,
    material: TlsMaterial,
    sources: Iterable[Entry],
    places: Iterable[AssignmentRecord],
    *,
    now_s: int,
) -> tuple[TlsMaterial, list[Consequence]]:
    """Return material with the certificates of `sources` that its chain needs, and a consequence about it.

    `places` are its future assignments.
    """
    given = {material.leaf, *material.companions}
    old = {
        one: source
        for source in reversed(list(sources))
        for one in source.uploaded
        if one.fingerprint not in source.refused and one not in given
    }
    entry = new_entry(material, places=places, now_s=now_s)
    if not old:
        return material, []
    alone, best = inventory.chain_of(entry, now_s=now_s), _chain_with(inventory, entry, old, now_s=now_s)
    if alone.state is ChainState.COMPLETE:
        kept = _above_root(inventory, entry, alone, [one for one in best.serving if one in old], now_s=now_s)
    else:
        needed = dict.fromkeys((*(link.certificate for link in best.links), *best.serving))
        kept = [one for one in needed if one in old]
    by_source: dict[int, list[Certificate]] = {}
    for one in kept:
        by_source.setdefault(old[one].id, []).append(one)
    found = [
        _kept(some, old[some[0]], is_needed=alone.state is not ChainState.COMPLETE)
        for some in by_source.values()
    ]
    return replace(material, kept=(*material.kept, *kept)), found


def _above_root(
    inventory: Inventory, entry: Entry, alone: Chain, old: Sequence[Certificate], *, now_s: int
) -> list[Certificate]:
    """Return those sent after an already complete chain, for clients that know only the signer of its root."""
    links = {(link.certificate.subject_id, key_of(link.certificate)) for link in alone.links[:-1]}
    above = [one for one in old if (one.subject_id, key_of(one)) not in links]
    served = _chain_with(inventory, entry, above, now_s=now_s).serving
    return [] if served[: len(alone.serving)] != alone.serving else [*served[len(alone.serving) :]]


def _chain_with(inventory: Inventory, entry: Entry, more: Iterable[Certificate], *, now_s: int) -> Chain:
    return inventory.chain_of(replace(entry, uploaded=(*entry.uploaded, *more)), now_s=now_s)


def carry_over(material: TlsMaterial, before: Entry) -> TlsMaterial:
    """Return material read from an entry's own text, with the certificates stored beside that text."""
    given = {material.leaf, *material.companions}
    return replace(material, kept=tuple(one for one in before.uploaded if one not in given))


def of_broken_chain(inventory: Inventory, before: Entry, after: Entry, *, now_s: int) -> list[Consequence]:
    """Return the consequence if clients of an assigned entry get a shorter chain.

    `after` has its remaining places.
    """
    if not after.places or (before.uploaded == after.uploaded and before.leaf == after.leaf):
        return []
    was, then = inventory.chain(before.id, now_s=now_s), inventory.chain_of(after, now_s=now_s)
    # a self-signed certificate is reported separately
    if then.state in {ChainState.COMPLETE, ChainState.SELF_SIGNED}:
        return []
    is_shorter = then.state is ChainState.INCOMPLETE and len(then.serving) < len(was.serving)
    if was.state is not ChainState.COMPLETE and not is_shorter:
        return []
    lost = [one for one in was.serving if one not in then.serving]
    without = f" Without {_named(lost)}, clients may refuse it." if lost else ""
    message = f"The chain of trust of {short_name(before)} breaks. {then.explanation}{without}"
    nodes = tuple(dict.fromkeys(place.node for place in after.places))
    return [replace(ask(ConsequenceCode.CHAIN_BROKEN, message), nodes=nodes)]


def _kept(kept: Sequence[Certificate], source: Entry, *, is_needed: bool) -> Consequence:
    was, is_ = ("was", "is") if len(kept) == 1 else ("were", "are")
    who = "The chain of trust needs" if is_needed else "Clients that do not know its root need"
    return Consequence(
        code=ConsequenceCode.CHAIN_KEPT,
        message=f"{who} {_named(kept)}, which {was} not given again and {is_} kept from {short_name(source)}.",
        severity=Severity.NOTE,
        asks=False,
    )


def _named(certificates: Iterable[Certificate]) -> str:
    return listed(f"'{one.label}' (fingerprint {one.fingerprint[:16]})" for one in certificates)
