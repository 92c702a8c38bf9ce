"""Trusted CA views: the contents of lists, pages and answers about custom trusted CAs.

Describes each CA and all of them together, by the inventory that a change left or the current one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from common.pki.certificate import Certificate
from common.pki.path import faults_as_ca, is_damaged_root
from manager.domain.inventory import Inventory, Trust
from manager.domain.model import TrustedCaRecord
from manager.domain.trust import client_ca_list
from manager.pki.chain.chain import PROBLEM_WORDS
from manager.pki.judge.status import Status, statuses


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTrustedCa:
    """A trusted CA with its statuses.

    `held_out` says why nodes do not get it, "" if they do. `faults` are the reasons why clients reject
    certificates below it. `text` is "" in a list.
    """

    record: TrustedCaRecord
    certificate: Certificate
    statuses: Sequence[Status]
    held_out: str = ""
    faults: Sequence[str] = ()
    text: str = ""


def show_trusted_ca(record: TrustedCaRecord, trust: Trust, now_s: int) -> ShownTrustedCa:
    """Assemble the view of one CA, without its text form."""
    certificate = trust.custom[record.id]
    return ShownTrustedCa(
        record=record,
        certificate=certificate,
        statuses=statuses(certificate, now_s=now_s, trusted_ca=True),
        held_out=trust.held_out.get(record.id, ""),
        faults=_faults(certificate, now_s),
    )


def trust_warnings(inventory: Inventory, of: Collection[int], *, now_s: int) -> Sequence[str]:
    """Return the warnings about these unusable CAs, and about all trusted CAs as a whole.

    After an addition, `of` are the added ones: older faults of other CAs are not repeated.
    """
    concerned = [one for number, one in inventory.trust.custom.items() if number in of]
    useless = [
        f"clients accept nothing that {one.label} signed: {', '.join(faults)}"
        for one in concerned
        if (faults := _faults(one, now_s))
    ]
    damaged = [
        f"the signature of {one.label} on itself is not by its own key, so it is no root here; most clients do not look at it, "
        "OpenSSL refuses it with -check_ss_sig"
        for one in concerned
        if is_damaged_root(one)
    ]
    too_long = client_ca_list(inventory.trusted_cas, inventory.trust)
    return [*useless, *damaged, *([too_long] if too_long else [])]


def _faults(certificate: Certificate, now_s: int) -> list[str]:
    return [PROBLEM_WORDS[each] for each in faults_as_ca(certificate, now_s=now_s)]
