"""Certificate views: what lists and pages show of certificates.

Decides what is said of each; the inventory judges. For a thread, as some orders judge every certificate there is.
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
    """A certificate as a list shows it: its statuses in the specification's words, the leading one first."""

    entry: Entry
    statuses: Sequence[Status]
    chain_state: ChainState
    findings: Sequence[Finding] = ()
    headline: Headline = field(init=False)
    """What to say first; found once, since it looks at what may be thousands of findings."""

    def __post_init__(self) -> None:
        found = headline(self.statuses, self.chain_state, self.findings)
        object.__setattr__(self, "headline", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """A certificate with all that is to be said about it. `text` is the form that `openssl x509 -text` prints."""

    entry: Entry
    record: CertificateRecord
    judgement: Judgement
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableCertificate:
    """What can be changed of a certificate: its texts, and the slots that it is assigned to."""

    record: CertificateRecord
    places: Sequence[AssignmentRecord]


def list_certificates(
    inventory: Inventory, query: CertificateQuery, now_s: int
) -> tuple[int, Sequence[ListedCertificate]]:
    """Return how many certificates a query finds, and those of its page."""
    page = list_page(inventory, query, now_s=now_s)
    return page.total, [judge_listed(inventory, entry, now_s) for entry in page.entries]


def judge_listed(inventory: Inventory, entry: Entry, now_s: int) -> ListedCertificate:
    """Judge one for a list."""
    return ListedCertificate(
        entry=entry,
        statuses=inventory.statuses(entry.id, now_s=now_s),
        chain_state=inventory.chain(entry.id, now_s=now_s).state,
        findings=inventory.findings(entry.id, now_s=now_s),
    )


def show_certificate(
    inventory: Inventory, entry: Entry, record: CertificateRecord, now_s: int
) -> ShownCertificate:
    """Put together all that is to be said about one."""
    return ShownCertificate(
        entry=entry,
        record=record,
        judgement=inventory.judge(entry.id, now_s=now_s),
        text=text_form(entry.leaf),
    )
