"""Consequences of republishing older content of a node, compared with its desired content.

Pure. `placements` judges certificates in slots, and the planner decides which content a node would refuse.
Invariant: present content of the node has no consequence.
"""

from collections.abc import Mapping, Sequence

from common.bundle.manifest import SLOTS, Slot
from common.errors import PkiError
from common.ids import NO_CERTIFICATE, NodeName
from common.pki.certificate import Certificate, decode
from common.pki.finding import Severity
from common.pki.pem import read_blocks
from common.words import listed
from manager.domain.consequences import Consequence, ConsequenceCode, unique
from manager.domain.difference import GenerationDifference
from manager.domain.inventory import Entry, Inventory
from manager.domain.moves import Move
from manager.domain.placements import of_moves

Leaves = Mapping[Slot, Entry]


def of_republishing(
    inventory: Inventory,
    node: NodeName,
    before: Leaves,
    after: Leaves,
    difference: GenerationDifference,
    *,
    longer: str = "",
    now_s: int,
) -> list[Consequence]:
    """Return the consequences of replacing `before` by `after` in a node's slots.

    `difference` has its trusted CAs.

    `longer` says so if their names become too many for TLS.
    """
    moves = [
        Move(node=node, slot=slot, before=before.get(slot), after=after[slot])
        for slot in SLOTS
        if slot in after and (slot not in before or before[slot].leaf != after[slot].leaf)
    ]
    found = of_moves(inventory, moves, now_s=now_s)
    found += [
        _asked(
            ConsequenceCode.NODES_LEFT,
            f"{node} would lose its {slot} certificate {before[slot].label}, since that content has none.",
            node,
        )
        for slot in SLOTS
        if slot in before and slot not in after
    ]
    if difference.anchors_removed:
        every = listed(f"'{each.subject}'" for each in difference.anchors_removed)
        found.append(
            _asked(
                ConsequenceCode.UNTRUSTED,
                f"{node} stops trusting {every}: peers whose certificates lead only there are refused.",
                node,
            )
        )
    if longer:
        found.append(_asked(ConsequenceCode.CLIENT_CA_LIST_TOO_LONG, longer, node))
    return unique(found)


def trusted_of(text: bytes) -> list[Certificate]:
    """Return the certificates of a published trust file.

    Undecodable ones have no name to send and are skipped.
    """
    found = []
    for block in read_blocks(text.decode(errors="replace")).blocks:
        try:
            found.append(decode(block.der))
        except PkiError:
            continue
    return found


def entry_of(inventory: Inventory, texts: Sequence[bytes], *, now_s: float) -> Entry | None:
    """Return the entry that published files (leaf first) were made of.

    Its number is 0 if it is no longer stored.

    None if they contain no certificate, which no bundle that we built does.
    """
    try:
        certificates = [
            decode(block.der) for text in texts for block in read_blocks(text.decode(errors="replace")).blocks
        ]
    except (PkiError, ValueError):
        return None
    if not certificates:
        return None
    leaf, *chain = certificates
    known = _known(inventory, leaf)
    return Entry(
        id=known.id if known is not None else NO_CERTIFICATE,
        leaf=leaf,
        uploaded=tuple(chain),
        temporary=known is not None and known.temporary,
        created_s=now_s,
        changed_s=now_s,
    )


def _known(inventory: Inventory, leaf: Certificate) -> Entry | None:
    return next((each for each in inventory.entries.values() if each.leaf == leaf), None)


def _asked(code: ConsequenceCode, message: str, node: NodeName) -> Consequence:
    return Consequence(code=code, message=message, severity=Severity.WARNING, asks=True, nodes=(node,))
