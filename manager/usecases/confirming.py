"""Confirmation of consequences: a change is described first, and compared with its effect when it is made.

Decides which entries an upload, an edit, an answer or an import affects; `manager.domain.consequences` judges
them. Invariant: only consequences that were shown are confirmed. They are computed again in the transaction
that makes the change. If they no longer match the token, nothing is changed and the new ones are shown.

A use case's `confirm` is None for callers that accept any consequences (programs, or users who said so), ""
for callers that want to see them first, and otherwise the token of the consequences that were shown.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from common.bundle.manifest import Slot
from common.ids import NO_CERTIFICATE, CertificateId, NodeName, TrustedCaId
from common.pki.certificate import Certificate
from common.pki.finding import LintCode
from manager.domain.companions import of_companions, of_own_cas
from manager.domain.consequences import (
    ConfirmationNeededError,
    Consequence,
    ConsequenceCode,
    ask,
    note,
    token_of,
    unique,
)
from manager.domain.inventory import Entry, Inventory
from manager.domain.keeping import CompanionPolicy, carry_over, complete_material, new_entry, of_broken_chain
from manager.domain.model import AssignmentRecord, CsrRecord
from manager.domain.moves import Move, moves_from, moves_of_content, moves_to
from manager.domain.placements import of_answer, of_content, of_moves
from manager.domain.removals import (
    of_deleting,
    of_deleting_requests,
    of_lost_keys,
    of_other_key,
    of_removing_nodes,
    of_untrusting,
)
from manager.domain.trust import longer_client_ca_list, loss, namesakes, replaced_cas
from manager.pki.judge.identity import key_of
from manager.pki.read.material import TlsMaterial

_BY_REPLACING = frozenset({ConsequenceCode.KEY_REPLACED, ConsequenceCode.KEY_LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Effect of a change.

    `updates` is the entry that would get the new content; `other_key` is that entry if its key differs.
    `materials` will be stored: the upload, plus the kept parts of the replaced entry. `noted_each` is `noted`
    of each of several certificates.
    """

    consequences: Sequence[Consequence]
    facts: object
    updates: Entry | None = None
    other_key: Entry | None = None
    materials: Sequence[TlsMaterial] = ()
    noted_each: Sequence[Mapping[str, object]] = ()

    @property
    def token(self) -> str:
        """Return the token that confirms exactly these consequences."""
        return token_of(self.consequences, self.facts)

    @property
    def about_companions(self) -> Sequence[Consequence]:
        """Return the consequences for accompanying certificates that belong to no chain."""
        return [each for each in self.consequences if each.code == ConsequenceCode.NOT_SERVED]

    @property
    def noted(self) -> dict[str, object]:
        """Return the part for the audit log, since answers to existing API clients cannot contain it."""
        messages = [each.message for each in self.about_companions]
        return {"not_served": messages} if messages else {}

    def require_confirmation(self, confirm: str | None, *, replaces: bool = False) -> None:
        """Return if the change may proceed, else raise ConfirmationNeededError.

        `replaces` permits another key.
        """
        if confirm is None or not self.asks(replaces=replaces) or confirm == self.token:
            return
        raise ConfirmationNeededError(self.consequences, self.token)

    def asks(self, *, replaces: bool = False) -> bool:
        """Whether any consequence needs a confirmation."""
        return any(each.asks and not (replaces and each.code in _BY_REPLACING) for each in self.consequences)

    def replaced(self, confirm: str | None, *, replaces: bool = False) -> Sequence[CertificateId]:
        """Return the entries whose key may be replaced, once the change is confirmed."""
        return [self.other_key.id] if self.other_key is not None and (replaces or confirm) else []


def assess_kept(
    inventory: Inventory,
    material: TlsMaterial,
    nodes: Sequence[NodeName],
    slot: Slot,
    *,
    beside: Sequence[Entry] = (),
    now_s: float,
) -> Impact:
    """Assess an upload: its effect on the entry that it updates and on the nodes that get it.

    Certificates that came with that entry, or those `beside` it, are kept if the chain of trust needs them.
    """
    namesakes = inventory.namesakes(material.leaf)
    updates = namesakes[0] if namesakes else None
    sources = beside if updates is None else [updates, *beside]
    places = [AssignmentRecord(node=name, slot=slot, certificate_id=NO_CERTIFICATE) for name in nodes]
    places += [place for source in sources for place in source.places]
    material, keeping = complete_material(inventory, material, sources, places, now_s=int(now_s))
    entry = new_entry(material, number=updates.id if updates is not None else NO_CERTIFICATE, now_s=now_s)
    has_other_key = updates is not None and key_of(updates.leaf) != key_of(entry.leaf)
    moves = [*moves_of_content(updates, entry), *moves_to(inventory, entry, nodes, slot)]
    found = [*of_moves(inventory, moves, now_s=int(now_s)), *keeping]
    found += of_companions(inventory, material, replace(entry, places=tuple(places)), now_s=int(now_s))
    if updates is not None:
        found += of_other_key(updates, entry, inventory) if has_other_key else of_content(updates, entry)
    return Impact(
        consequences=unique(found),
        facts=[facts_of(moves, inventory), _mark(updates), entry.leaf.fingerprint],
        materials=[material],
        updates=updates,
        other_key=updates if has_other_key else None,
    )


def assess_import(
    inventory: Inventory, tls: Sequence[TlsMaterial], trusted: Sequence[Certificate], *, now_s: float
) -> Impact:
    """Assess an import: its effect on the entries that it updates, and the effect of its CAs on services."""
    trusting = assess_trust_addition(inventory, trusted, now_s=int(now_s))
    # the CAs of a batch complete the chains of its certificates
    then = inventory.with_trust(inventory.trust.changed(new=trusted)) if trusted else inventory
    each = [(material, assess_kept(then, material, (), "server", now_s=now_s)) for material in tls]
    # the store refuses another key: a user could not tell which file of the batch was being confirmed
    messages = [(material, one, one.updates is not None and one.other_key is None) for material, one in each]
    found = [
        replace(consequence, message=f"{material.leaf.label}: {consequence.message}")
        for material, one, is_update in messages
        for consequence in (one.consequences if is_update else one.about_companions)
    ]
    facts = [[one.facts for _, one, is_update in messages if is_update], trusting.facts]
    return Impact(
        consequences=unique([*found, *of_own_cas(inventory, tls, trusted), *trusting.consequences]),
        facts=facts,
        materials=[whole for _, one in each for whole in one.materials],
        noted_each=[one.noted for _, one in each],
    )


def other_keys(inventory: Inventory, tls: Sequence[TlsMaterial]) -> list[tuple[TlsMaterial, str]]:
    """Return the certificates that would replace an entry's private key, each with a sentence naming both."""
    found = []
    for material in tls:
        namesakes = inventory.namesakes(material.leaf)
        if namesakes and key_of(namesakes[0].leaf) != key_of(material.leaf):
            entry = new_entry(material, now_s=0.0)
            found.append((material, of_other_key(namesakes[0], entry, inventory)[0].message))
    return found


def assess_edit(
    inventory: Inventory,
    certificate_id: CertificateId,
    material: TlsMaterial | None,
    nodes: Sequence[NodeName] | None,
    slot: Slot,
    *,
    companions: CompanionPolicy,
    now_s: float,
) -> Impact:
    """Assess an edit: its effect on the slots that keep the entry, gain it or lose it."""
    before = inventory.entries[certificate_id]
    keeping: list[Consequence] = []
    if material is not None and companions is CompanionPolicy.KEEP:
        material = carry_over(material, before)
    elif material is not None and companions is CompanionPolicy.KEEP_NEEDED:
        material, keeping = complete_material(inventory, material, [before], before.places, now_s=int(now_s))
    after = before if material is None else new_entry(material, number=before.id, now_s=now_s)
    moves: list[Move] = []
    left: list[Move] = []
    if nodes is not None:
        left = moves_from(before, nodes, slot)
        moves = moves_to(inventory, after, nodes, slot)
    gone = {(move.node, move.slot) for move in left}
    moves += [move for move in moves_of_content(before, after) if (move.node, move.slot) not in gone]
    moves += left
    found = [] if before.leaf == after.leaf else of_content(before, after)
    if key_of(before.leaf) != key_of(after.leaf):
        found += of_lost_keys([before], inventory)
    found += of_moves(inventory, moves, now_s=int(now_s))
    if material is not None:
        found += [*of_companions(inventory, material, after, now_s=int(now_s)), *keeping]
    if not any(each.asks and each.code == LintCode.CHAIN for each in found):
        stay = [place for place in before.places if (place.node, place.slot) not in gone]
        found += of_broken_chain(inventory, before, replace(after, places=tuple(stay)), now_s=int(now_s))
    return Impact(
        consequences=unique(found),
        facts=[facts_of(moves, inventory), _mark(before), _mark(after)],
        materials=[] if material is None else [material],
    )


def assess_assignment(
    inventory: Inventory,
    certificate_id: CertificateId,
    nodes: Sequence[NodeName],
    slot: Slot,
    *,
    now_s: float,
) -> Impact:
    """Assess an assignment: its effect on the nodes that get the certificate."""
    entry = inventory.entries.get(certificate_id)
    if entry is None:
        return Impact(consequences=(), facts=None)
    moves = moves_to(inventory, entry, nodes, slot)
    return Impact(
        consequences=of_moves(inventory, moves, now_s=int(now_s)),
        facts=[facts_of(moves, inventory), _mark(entry)],
    )


def assess_unassignment(inventory: Inventory, name: NodeName, slot: Slot) -> Impact:
    """Assess emptying a slot."""
    number = inventory.slots.get((name, slot))
    before = inventory.entries[number] if number is not None else None
    moves = [Move(node=name, slot=slot, before=before, after=None)]
    return Impact(consequences=of_moves(inventory, moves, now_s=0), facts=facts_of(moves, inventory))


def assess_deletion(inventory: Inventory, certificate_ids: Sequence[CertificateId]) -> Impact:
    """Assess deleting certificates. The store reports the ids that do not exist."""
    gone = [
        inventory.entries[number] for number in dict.fromkeys(certificate_ids) if number in inventory.entries
    ]
    return Impact(consequences=of_deleting(gone, inventory), facts=[_mark(each) for each in gone])


def assess_answer(
    inventory: Inventory,
    request: CsrRecord,
    material: TlsMaterial,
    nodes: Sequence[NodeName],
    slot: Slot,
    *,
    take_over: bool,
    now_s: float,
) -> Impact:
    """Assess a CA's answer to a signing request: it may lack requested names, and it may take over nodes."""
    replaced = inventory.entries.get(request.replaces_id or NO_CERTIFICATE)
    earlier = inventory.entries.get(request.answer_id or NO_CERTIFICATE)
    beside = [each for each in (earlier, replaced) if each is not None]
    kept = assess_kept(inventory, material, nodes, slot, beside=beside, now_s=now_s)
    answer = new_entry(
        kept.materials[0], number=kept.updates.id if kept.updates else NO_CERTIFICATE, now_s=now_s
    )
    moves = [
        Move(node=place.node, slot=place.slot, before=replaced, after=answer)
        for place in (replaced.places if replaced is not None and take_over else ())
    ]
    found = [
        *of_answer(request, answer, replaced if kept.updates is not replaced else None),
        *kept.consequences,
        *of_moves(inventory, moves, now_s=int(now_s)),
    ]
    return replace(
        kept, consequences=unique(found), facts=[kept.facts, facts_of(moves, inventory), request.id]
    )


def assess_trust_removal(
    inventory: Inventory,
    gone: Collection[TrustedCaId],
    new: Sequence[Certificate],
    *,
    edited: Certificate | None,
    verifying: Sequence[Certificate] = (),
    now_s: int,
) -> Impact:
    """Assess removing trusted CAs, or replacing them with `new` ones.

    `verifying` are the `new` ones that nodes verify peers with.

    `edited` is the content after an edit, None for a deletion: both may lose the same trust, but confirming
    one does not confirm the other. Builds chains, which takes seconds with thousands of certificates.
    """
    custom = inventory.trust.custom
    lost = loss(custom.values(), [*(one for number, one in custom.items() if number not in gone), *new])
    found = of_untrusting(inventory, gone, new, lost, edited=edited, now_s=now_s)
    found += _of_longer_list(inventory, verifying, gone)
    facts = [
        [[number, custom[number].fingerprint] for number in sorted(gone) if number in custom],
        [each.fingerprint for each in new],
        [each.fingerprint for each in verifying],
        edited.fingerprint if edited is not None else None,
    ]
    return Impact(consequences=found, facts=facts)


def assess_trust_addition(inventory: Inventory, new: Sequence[Certificate], *, now_s: int) -> Impact:
    """Assess letting nodes verify peers with `new` trusted CAs, some of which replace stored ones."""
    gone = replaced_cas(inventory.trust, new)
    found = of_untrusting(inventory, gone, new, "", edited=None, now_s=now_s)
    found += _of_longer_list(inventory, new, gone)
    if same := namesakes(inventory.trust, new):
        found.append(note(ConsequenceCode.SAME_NAME, same))
    custom = inventory.trust.custom
    facts = [[each.fingerprint for each in new], [[number, custom[number].fingerprint] for number in gone]]
    return Impact(consequences=found, facts=facts)


def _of_longer_list(
    inventory: Inventory, new: Sequence[Certificate], gone: Collection[TrustedCaId]
) -> list[Consequence]:
    text = longer_client_ca_list(inventory.trusted_cas, inventory.trust, new, gone=gone)
    return [ask(ConsequenceCode.CLIENT_CA_LIST_TOO_LONG, text)] if text else []


def assess_node_removal(inventory: Inventory, names: Sequence[NodeName]) -> Impact:
    """Assess removing nodes. The store reports the names that do not exist."""
    gone = [inventory.nodes[name] for name in names if name in inventory.nodes]
    facts = [[each.name, each.id, each.public_key] for each in gone]
    return Impact(consequences=of_removing_nodes(gone, inventory), facts=facts)


def assess_csr_deletion(inventory: Inventory, records: Sequence[CsrRecord]) -> Impact:
    """Assess deleting certificate signing requests."""
    facts = [[each.id, each.answer_id] for each in records]
    return Impact(consequences=of_deleting_requests(records, inventory), facts=facts)


def facts_of(moves: Sequence[Move], inventory: Inventory) -> object:
    """Return the facts of moves for a token. A node is its number, since its name may be reused later."""
    return [
        [move.node, inventory.nodes[move.node].id, move.slot, _mark(move.before), _mark(move.after)]
        for move in moves
    ]


def _mark(entry: Entry | None) -> object:
    return None if entry is None else [entry.id, entry.leaf.fingerprint]
