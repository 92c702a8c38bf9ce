"""Companions of a leaf: the other certificates that came with it.

Pure. Reports those that have no part in its chain of trust, alike for every way of uploading. `keeping`
decides which earlier ones stay. Invariant: every companion is a link of the chain, is served, leads up from
the leaf, or is named. None of this needs a confirmation, since all of it stays with the entry.
"""

from collections.abc import Container, Iterable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from common.pki.certificate import Certificate
from common.pki.finding import Severity
from common.words import listed
from manager.domain.consequences import Consequence, ConsequenceCode
from manager.domain.inventory import Entry, Inventory
from manager.pki.chain.chain import Chain, ancestors
from manager.pki.judge.identity import key_of
from manager.pki.read.findings import locate
from manager.pki.read.material import TlsMaterial


class _Kind(Enum):
    """Kinds of certificates without a part in the chain."""

    LEAF = auto()
    TWIN = auto()
    STRANGER = auto()
    TRUSTED = auto()


_ENDINGS: Final[Mapping[_Kind, str]] = MappingProxyType(
    {
        _Kind.LEAF: "without a private key and without a part in {}: not served, and not kept as a separate entry.",
        _Kind.TWIN: "but {} uses another certificate of the same name and key: not served.",
        _Kind.STRANGER: "without a part in {}: neither served nor trusted. Add to the trusted CAs what nodes are to trust.",
        _Kind.TRUSTED: "without a part in {}: not served, but a trusted CA already.",
    }
)
"""Result for one or more of a kind, after their names."""


def of_companions(
    inventory: Inventory, material: TlsMaterial, entry: Entry, *, now_s: int
) -> list[Consequence]:
    """Return the results for companions and files that the chain does not use; `entry` is the future entry."""
    beside = [
        Consequence(
            code=ConsequenceCode.LEFT_OUT,
            message=f"Left out: {locate(each)}",
            severity=Severity.NOTE,
            asks=False,
        )
        for each in material.left_out
    ]
    if not material.extras:
        return beside
    chain = inventory.chain_of(entry, now_s=now_s)
    given = (*material.chain, *material.extras)
    used = {*(link.certificate for link in chain.links), *chain.serving, *ancestors(material.leaf, given)}
    left = [each for each in given if each not in used]
    of_leaf = f"the chain of '{material.leaf.label}'"
    groups = _grouped(left, chain, {*inventory.trust.custom.values(), *inventory.trust.builtin})
    return beside + [
        Consequence(
            code=ConsequenceCode.NOT_SERVED,
            message=f"{_named(group)} came along, {_ENDINGS[kind].format(of_leaf)}{_of_namesakes(group, chain)}",
            severity=Severity.WARNING if kind is _Kind.LEAF else Severity.NOTE,
            asks=False,
        )
        for kind, group in groups.items()
    ]


def of_own_cas(
    inventory: Inventory, tls: Iterable[TlsMaterial], trusted: Iterable[Certificate]
) -> list[Consequence]:
    """Return the results for CAs that a batch has as TLS certificates, since their keys are here.

    `trusted` are the batch's trusted CAs.
    """
    known = {*inventory.trust.custom.values(), *inventory.trust.builtin, *trusted}
    if not (own := [each.leaf for each in tls if each.leaf.is_ca and each.leaf not in known]):
        return []
    return [
        Consequence(
            code=ConsequenceCode.NOT_TRUSTED,
            message=f"{_named(own)} can sign as a CA, but came with a private key, or its key is stored: kept as a TLS certificate, not as a "
            "trusted CA. Add to the trusted CAs what nodes are to trust.",
            severity=Severity.NOTE,
            asks=False,
        )
    ]


def _grouped(
    left: Iterable[Certificate], chain: Chain, trusted: Container[Certificate]
) -> dict[_Kind, list[Certificate]]:
    links = {(one.subject_id, key_of(one)) for one in (*_issuers(chain), *chain.serving)}
    groups: dict[_Kind, list[Certificate]] = {}
    for each in left:
        if not each.is_ca:
            kind = _Kind.LEAF
        elif (each.subject_id, key_of(each)) in links:
            kind = _Kind.TWIN
        else:
            kind = _Kind.TRUSTED if each in trusted else _Kind.STRANGER
        groups.setdefault(kind, []).append(each)
    return groups


def _of_namesakes(left: Iterable[Certificate], chain: Chain) -> str:
    """Name certificates that share the name of a CA in the chain but differ from it; they would look alike."""
    keys: dict[bytes, set[str]] = {}
    for link in _issuers(chain):
        keys.setdefault(link.subject_id, set()).add(key_of(link))
    same = [one for one in left if one.subject_id in keys and key_of(one) not in keys[one.subject_id]]
    return f" The chain has a CA of the same name as {_named(same)}, but with another key." if same else ""


def _issuers(chain: Chain) -> list[Certificate]:
    return [link.certificate for link in chain.links[1:]]


def _named(certificates: Iterable[Certificate]) -> str:
    return listed(f"'{one.label}' (fingerprint {one.fingerprint[:16]})" for one in certificates)
