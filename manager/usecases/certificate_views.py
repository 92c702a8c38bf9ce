"""Certificate views: the contents of lists and pages about certificates.

Selects the statements; the inventory judges. Run in a thread, since some sort orders judge every certificate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.codes import ChainState
from common.pki.finding import Finding
from manager.domain.certificate_list import CertificateQuery, list_page
from manager.domain.inventory import Entry, Inventory, Judgement
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.pki.judge.headline import Headline, headline
from manager.pki.judge.status import Status
from manager.pki.text.certificate import text_form


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCertificate:
    """A certificate in a list: its statuses in the specification's words, the leading one first."""

    entry: Entry
    statuses: Sequence[Status]
    chain_state: ChainState
    findings: Sequence[Finding] = ()
    headline: Headline = field(init=False)
    """The most important statement; computed once, since there may be thousands of findings."""

    def __post_init__(self) -> None:
        found = headline(self.statuses, self.chain_state, self.findings)
        object.__setattr__(self, "headline", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """A certificate with everything there is to show about it.

    `text` is the output of `openssl x509 -text`.
    """

    entry: Entry
    record: CertificateRecord
    judgement: Judgement
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableCertificate:
    """Editable parts of a certificate: its texts and its slots."""

    record: CertificateRecord
    places: Sequence[AssignmentRecord]


def list_certificates(
    inventory: Inventory, query: CertificateQuery, now_s: int
) -> tuple[int, Sequence[ListedCertificate]]:
    """Return the number of certificates that match a query, and the requested page of them."""
    page = list_page(inventory, query, now_s=now_s)
    return page.total, [judge_listed(inventory, entry, now_s) for entry in page.entries]


def judge_listed(inventory: Inventory, entry: Entry, now_s: int) -> ListedCertificate:
    """Judge one certificate for a list."""
    return ListedCertificate(
        entry=entry,
        statuses=inventory.statuses(entry.id, now_s=now_s),
        chain_state=inventory.chain(entry.id, now_s=now_s).state,
        findings=inventory.findings(entry.id, now_s=now_s),
    )


def show_certificate(
    inventory: Inventory, entry: Entry, record: CertificateRecord, now_s: int
) -> ShownCertificate:
    """Assemble everything there is to show about one certificate."""
    return ShownCertificate(
        entry=entry,
        record=record,
        judgement=inventory.judge(entry.id, now_s=now_s),
        text=text_form(entry.leaf),
    )
