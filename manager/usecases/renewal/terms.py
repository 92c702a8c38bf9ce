"""Terms of renewals: what can be ordered.

Invariant: stored terms can be ordered: their names can be proven with the chosen challenge.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from common.challenge import CHALLENGES_MAX
from common.codes import KeyKind
from common.errors import InvalidInputError, Reason
from common.text import printable
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.names import kind_of, name_fault, written
from manager.domain.renewal.records import AccountId, ChallengeKind, RenewalRecord, Terms
from manager.domain.renewal.schedule import names_of
from manager.pki.write.keys import kind_like

NAMES_MAX: Final = 100
"""Names of one certificate: Let's Encrypt accepts 100, and 25 with some profiles."""

FAULTS_NAMED: Final = 5
"""Faulty names in one message."""

WORD_MAX_CHARS: Final = 255
"""Length of a profile, of a root's Common Name, and of a request's recipient."""


def prefilled(inventory: Inventory, entry: Entry, account_id: AccountId, challenge: ChallengeKind) -> Terms:
    """Return default terms for a certificate: its own and its nodes' names, and a key of equal strength."""
    own = (*entry.leaf.dns_names, *entry.leaf.ip_addresses)
    nodes = dict.fromkeys(place.node for place in entry.places if place.slot == "server")
    more = [name for node in nodes for name in inventory.nodes[node].client_names if kind_of(name)]
    return Terms(
        account_id=account_id,
        challenge=challenge,
        key=kind_like(entry.leaf.key_type, entry.leaf.key_bits),
        names=tuple(dict.fromkeys(map(written, (*own, *more)))),
    )


def checked_terms(terms: Terms, entry: Entry | None, challenges: Collection[ChallengeKind]) -> Terms:
    """Return normalised terms; `challenges` are the available kinds. Raises InvalidInputError."""
    if terms.challenge not in challenges:
        raise InvalidInputError("challenge", _not_here(terms.challenge, names_of(terms, entry)))
    names = tuple(dict.fromkeys(written(each.strip()) for each in terms.names if each.strip()))
    checked = replace(
        terms,
        names=names,
        profile=checked_word("profile", terms.profile),
        preferred_chain=checked_word("preferred_chain", terms.preferred_chain),
    )
    ordered = names_of(checked, entry)
    if not ordered:
        raise InvalidInputError("names", "enter at least one name to order a certificate for")
    if len(ordered) > NAMES_MAX:
        raise InvalidInputError("names", f"there are more than {NAMES_MAX} names", reason=Reason.TOO_BIG)
    if len(ordered) > CHALLENGES_MAX and checked.challenge is ChallengeKind.HTTP:
        raise InvalidInputError(
            "names",
            f"there are {len(ordered)} names, and a node shows the proofs of {CHALLENGES_MAX} at most; use dns-01, or more certificates",
            reason=Reason.TOO_BIG,
        )
    if wrong := [text for name in ordered if (text := _fault(name, terms.challenge))]:
        raise InvalidInputError("names", "; ".join(wrong[:FAULTS_NAMED]))
    if entry is None and terms.keeps_key:
        raise InvalidInputError("keeps_key", "there is no certificate yet whose key could be reused")
    if terms.key not in set(KeyKind):
        raise InvalidInputError("key", "this kind of key is not supported")
    return checked


def _not_here(challenge: ChallengeKind, names: Sequence[str]) -> str:
    """Return which setting is missing for an unavailable challenge."""
    if challenge is not ChallengeKind.DNS:
        return f"{challenge} is not switched on in this manager's settings (table [dns])"
    name = printable(names[0][:80]) if names else "the names"
    return f"no zone in this manager's settings covers {name}: add a [[dns.zone]] for it to the settings (docs/dns-challenges.md)"


def _fault(name: str, challenge: ChallengeKind) -> str:
    """Return why a name cannot be ordered, "" if it can."""
    shown = f"'{printable(name[:80])}'"
    match kind_of(name):
        case None:
            return f"{shown} {name_fault(name)}, so no CA can prove it"
        case "address" if challenge is not ChallengeKind.HTTP:
            return f"an IP address ({name}) is proven by http-01 only (RFC 8738 4)"
        case "wildcard" if challenge is ChallengeKind.HTTP:
            return f"{shown} is a wildcard, which http-01 cannot prove; use dns-01"
        case _:
            return ""


def checked_word(part: str, text: str) -> str:
    """Return a normalised one-line text. Raises InvalidInputError."""
    word = text.strip()
    if len(word) > WORD_MAX_CHARS or not word.isprintable():
        raise InvalidInputError(part, f"this has at most {WORD_MAX_CHARS} printable characters")
    return word


def noted_terms(record: RenewalRecord) -> dict[str, object]:
    """Describe a renewal's terms, and the places of its first certificate, for the audit log."""
    terms = record.terms
    detail: dict[str, object] = {"certificate": record.certificate_id, "nodes": list(record.nodes)}
    if terms is None:
        return {**detail, "send_to": record.send_to}
    return {
        **detail,
        "account": terms.account_id,
        "challenge": terms.challenge.value,
        "profile": terms.profile,
        "preferred_chain": terms.preferred_chain,
        "key": "kept" if terms.keeps_key else terms.key.value,
        "names": list(terms.names),
    }
