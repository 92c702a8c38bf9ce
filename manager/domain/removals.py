"""Consequences of removals: of private keys, assigned certificates, nodes, requests and trusted CAs.

Pure. Decides what would be lost for good, and who is affected. Invariant: a private key that another entry
has is not lost.
"""

from collections.abc import Collection, Sequence

from common.bundle.manifest import SLOTS
from common.codes import ChainState
from common.ids import TrustedCaId
from common.pki.certificate import Certificate
from common.pki.finding import Severity
from common.pki.path import LinkProblem, faults_as_ca, has_ended
from common.words import listed
from manager.domain.consequences import Consequence, ConsequenceCode, ask, left_without, name_entry
from manager.domain.inventory import Entry, Inventory
from manager.domain.model import CsrRecord, NodeRecord
from manager.pki.chain.chain import PROBLEM_WORDS
from manager.pki.judge.identity import key_of


def of_other_key(known: Entry, given: Entry, inventory: Inventory) -> list[Consequence]:
    """Return the consequences of replacing an entry by one of its issuer and serial number but another key."""
    conflict = (
        f"{name_entry(known)} has the issuer and serial number ({known.leaf.serial_no}) of the new certificate "
        f"'{given.leaf.display_name}' (fingerprint {given.leaf.fingerprint[:16]}), but another private key: "
        "the new one would take its place"
    )
    nodes = tuple(place.node for place in known.places)
    where = f", also on {listed(dict.fromkeys(nodes))}" if nodes else ""
    replaced = Consequence(
        code=ConsequenceCode.KEY_REPLACED,
        message=f"{conflict}{where}.",
        severity=Severity.ERROR,
        asks=True,
        nodes=nodes,
    )
    return [replaced, *of_lost_keys([known], inventory)]


def of_lost_keys(gone: Sequence[Entry], inventory: Inventory) -> list[Consequence]:
    """Return the consequence for entries whose private keys no other entry has: those would be lost for good."""
    ids = {each.id for each in gone}
    kept = {key_of(each.leaf) for each in inventory.entries.values() if each.id not in ids}
    lost = [each for each in gone if key_of(each.leaf) not in kept]
    if not lost:
        return []
    many = "keys" if len(lost) > 1 else "key"
    message = f"The only copy of the private {many} of {listed(name_entry(each) for each in lost)} here would be lost for good."
    return [ask(ConsequenceCode.KEY_LOST, message)]


def of_deleting(gone: Sequence[Entry], inventory: Inventory) -> list[Consequence]:
    """Return the consequences of deleting certificates."""
    found = of_lost_keys(gone, inventory)
    for entry in gone:
        if entry.places:
            nodes = tuple(dict.fromkeys(place.node for place in entry.places))
            found.append(left_without(entry, nodes))
    return found


def of_removing_nodes(nodes: Sequence[NodeRecord], inventory: Inventory) -> list[Consequence]:
    """Return the consequences of removing nodes."""
    found = []
    for record in nodes:
        places = ((record.name, slot) for slot in SLOTS)
        held = [inventory.entries[inventory.slots[each]] for each in places if each in inventory.slots]
        kept = [each for each in held if not each.temporary]
        joined = " Its agent is refused from then on." if record.public_key else " It has not joined."
        every = listed(dict.fromkeys(name_entry(each) for each in kept))
        has = f" The store keeps {every}." if kept else ""
        message = f"Node {record.name} is deleted with its history.{joined}{has} Its services keep serving what they have."
        found.append(
            Consequence(
                code=ConsequenceCode.NODE_REMOVED,
                message=message,
                severity=Severity.WARNING,
                asks=True,
                nodes=(record.name,),
            )
        )
    return found


def of_deleting_requests(gone: Sequence[CsrRecord], inventory: Inventory) -> list[Consequence]:
    """Return the consequences of deleting certificate signing requests."""
    waiting = [each for each in gone if each.answer_id not in inventory.entries]
    if not waiting:
        return []
    every = listed(f"{each.id} ({each.display_name})" for each in waiting)
    message = f"The private key is deleted with the request, so a certificate that the CA sends later cannot be used: request {every}."
    return [ask(ConsequenceCode.REQUEST_UNANSWERED, message)]


def of_untrusting(
    inventory: Inventory,
    gone: Collection[TrustedCaId],
    new: Sequence[Certificate],
    lost: str,
    *,
    edited: Certificate | None,
    now_s: int,
) -> list[Consequence]:
    """Return the consequences of removing trusted CAs, or replacing them with `new` ones.

    An `edited` one still completes chains, even if peers may no longer be verified with it. Builds chains,
    which takes seconds with thousands of certificates.
    """
    custom = inventory.trust.custom
    kept = {(each.subject_id, key_of(each)) for each in new}
    leaving = [custom[number] for number in sorted(gone) if number in custom and custom[number] not in new]
    found = []
    # a CA of the same name and key is trusted instead, though it may be limited in what it may sign
    if dropped := [each for each in leaving if (each.subject_id, key_of(each)) not in kept]:
        found += [] if not lost else [ask(ConsequenceCode.TRUST_SHRINKS, f"{lost[0].upper()}{lost[1:]}.")]
        every = listed(f"'{each.display_name}'" for each in dropped)
        message = f"Every node stops trusting {every}: peers whose certificates lead only there are refused."
        found.append(ask(ConsequenceCode.UNTRUSTED, message))
    if not leaving:
        return []
    found += _useless(leaving, new, now_s=now_s)
    stored = new if edited is None else [*new, edited]
    if broken := _broken_chains(inventory, gone, stored, now_s=now_s):
        message = f"The chain of trust breaks for {listed(name_entry(each) for each in broken)}."
        found.append(ask(ConsequenceCode.CHAIN_BROKEN, message))
    return found


def _useless(leaving: Sequence[Certificate], new: Sequence[Certificate], *, now_s: int) -> list[Consequence]:
    """Return the CAs that can no longer sign because a trusted CA of the same name and key replaces them."""
    found = []
    for before in leaving:
        after = [
            _faults(one, now_s=now_s)
            for one in new
            if (one.subject_id, key_of(one)) == (before.subject_id, key_of(before))
        ]
        if not after or not all(after) or _faults(before, now_s=now_s):
            continue
        why = ", ".join(PROBLEM_WORDS[each] for each in after[0])
        message = f"Nothing that '{before.display_name}' signed is accepted with the new certificate: {why}."
        found.append(ask(ConsequenceCode.UNTRUSTED, message))
    return found


def _faults(one: Certificate, *, now_s: int) -> list[LinkProblem]:
    return [*([LinkProblem.EXPIRED] if has_ended(one, now_s=now_s) else []), *faults_as_ca(one, now_s=now_s)]


def _broken_chains(
    inventory: Inventory, gone: Collection[TrustedCaId], new: Sequence[Certificate], *, now_s: int
) -> list[Entry]:
    leaving = {
        inventory.trust.custom[number].fingerprint for number in gone if number in inventory.trust.custom
    }
    then = inventory.with_trust(inventory.trust.changed(gone=gone, new=new))
    broken = []
    for entry in inventory.entries.values():
        chain = inventory.chain(entry.id, now_s=now_s)
        if chain.state is not ChainState.COMPLETE or not any(
            link.certificate.fingerprint in leaving for link in chain.links[1:]
        ):
            continue
        if then.chain_of(entry, now_s=now_s).state is not ChainState.COMPLETE:
            broken.append(entry)
    return broken
