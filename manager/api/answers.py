"""API answers for certificates, trusted CAs and chains: one shape each, shared by every route.

Invariant: no answer has a field for a private key.
"""

from collections.abc import Iterable, Sequence

import msgspec

from common.api.certificates import CertificateAnswer, ChainAnswer, Link, Place
from common.api.findings import Finding, Headline, LeftOut, Status
from common.api.trust import TrustedCaAnswer
from common.api.values import Unreadable
from common.errors import PkiError
from common.pki.expiry import as_number
from common.pki.finding import Finding as JudgedFinding
from common.pki.finding import by_severity
from common.pki.path import Purpose
from manager.api.annotations import with_annotations
from manager.domain.model import AssignmentRecord, TrustedCaRecord
from manager.pki.chain.chain import Chain
from manager.pki.judge.headline import Headline as JudgedHeadline
from manager.usecases.certificate_views import ListedCertificate, ShownCertificate
from manager.usecases.trust_views import ShownTrustedCa


def left_out(findings: Sequence[PkiError]) -> list[LeftOut]:
    """Return the parts that were not imported."""
    return [
        LeftOut(message=each.message, file=each.file, block=each.block, line=each.line) for each in findings
    ]


def unreadable(not_before_s: int | None, not_after_s: int | None) -> Unreadable:
    """Return which moments are unreadable."""
    begins: Unreadable = ("not_before",) if not_before_s is None else ()
    ends: Unreadable = ("not_after",) if not_after_s is None else ()
    return (*begins, *ends)


def finding_answers(found: Iterable[JudgedFinding]) -> list[Finding]:
    """Return the findings, the worst first."""
    return [
        Finding(code=each.code, message=each.message, severity=each.severity) for each in by_severity(found)
    ]


def place(each: AssignmentRecord) -> Place:
    """Return where a certificate is assigned."""
    return Place(node=each.node, slot=each.slot)


def certificate_answer(listed: ListedCertificate) -> CertificateAnswer:
    """Return a certificate as listed."""
    entry, leaf = listed.entry, listed.entry.leaf
    return CertificateAnswer(
        id=entry.id,
        subject_name=leaf.subject_name,
        issuer_name=leaf.issuer_name,
        serial_no=leaf.serial_no,
        fingerprint=leaf.fingerprint,
        not_before_s=as_number(leaf.not_before_s),
        not_after_s=as_number(leaf.not_after_s),
        unreadable=unreadable(leaf.not_before_s, leaf.not_after_s),
        subject_alt_names=leaf.subject_alt_names,
        key_type=leaf.key_type,
        key_bits=leaf.key_bits,
        status=listed.statuses[0].text,
        statuses=[Status(code=each.code, text=each.text) for each in listed.statuses],
        chain_state=listed.chain_state,
        headline=_headline(listed.headline),
        temporary=entry.temporary,
        nodes=[place(each) for each in entry.places],
    )


def shown_answer(shown: ShownCertificate) -> CertificateAnswer:
    judgement, leaf = shown.judgement, shown.entry.leaf
    listed = ListedCertificate(
        entry=shown.entry,
        statuses=judgement.statuses,
        chain_state=judgement.chain.state,
        findings=judgement.findings,
    )
    return msgspec.structs.replace(
        with_annotations(certificate_answer(listed), shown.record.annotations),
        raw_subject=leaf.raw_subject,
        raw_issuer=leaf.raw_issuer,
        chain_of_trust=_chain(
            judgement.chain,
            "" if judgement.verdict.accepted else judgement.verdict.reason,
            purpose=judgement.purpose,
        ),
        findings=finding_answers(judgement.findings),
        undecodable=leaf.undecodable,
        oddities=leaf.oddities,
        certificate=shown.record.text,
        chain="".join(each.pem for each in judgement.chain.serving),
        parameters=shown.record.parameters_pem,
        text=shown.text,
    )


def trusted_ca_record_answer(record: TrustedCaRecord, *, created: bool | None = None) -> TrustedCaAnswer:
    """Return a stored trusted CA."""
    return TrustedCaAnswer(
        id=record.id,
        subject_name=record.subject_name,
        issuer_name=record.issuer_name,
        raw_subject=record.raw_subject,
        raw_issuer=record.raw_issuer,
        serial_no=record.serial_no,
        fingerprint=record.fingerprint,
        not_before_s=as_number(record.not_before_s),
        not_after_s=as_number(record.not_after_s),
        unreadable=unreadable(record.not_before_s, record.not_after_s),
        self_signed=record.self_signed,
        trusted_intermediate=record.trusted_intermediate,
        created=created,
    )


def trusted_ca_answer(shown: ShownTrustedCa) -> TrustedCaAnswer:
    """Return a trusted CA as listed, with its texts if one was requested."""
    return msgspec.structs.replace(
        trusted_ca_record_answer(shown.record),
        # decoded now: a stored text may be from a version that knew fewer names
        raw_subject=shown.certificate.raw_subject,
        raw_issuer=shown.certificate.raw_issuer,
        is_ca=shown.certificate.is_ca,
        status=shown.statuses[0].text,
        statuses=[Status(code=each.code, text=each.text) for each in shown.statuses],
        held_out=shown.held_out or None,
        faults=list(shown.faults) or None,
        certificate=shown.record.text if shown.text else None,
        text=shown.text or None,
    )


def _headline(found: JudgedHeadline) -> Headline:
    return Headline(code=found.code, text=found.text, severity=found.severity)


def _chain(chain: Chain, strict_client: str, *, purpose: Purpose) -> ChainAnswer:
    return ChainAnswer(
        state=chain.state,
        explanation=chain.explanation,
        missing_issuer=chain.missing_issuer,
        links=[
            Link(
                subject=link.certificate.label,
                issuer=link.certificate.raw_issuer,
                fingerprint=link.certificate.fingerprint,
                not_after_s=as_number(link.certificate.not_after_s),
                unreadable=unreadable(link.certificate.not_before_s, link.certificate.not_after_s),
                source=link.source,
                problems=link.problems,
            )
            for link in chain.links
        ],
        strict_client=strict_client,
        purpose=purpose,
    )
