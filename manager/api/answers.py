"""What the API says of certificates, trusted CAs and chains: one shape each, shared by every route that answers with it.

Invariant: no answer has a field for a private key.
"""

from collections.abc import Iterable, Sequence

import msgspec

from common.api.errors import ConsequenceAnswer
from common.bundle.manifest import Slot
from common.errors import PkiError
from common.pki.finding import Finding as JudgedFinding
from common.pki.finding import by_severity
from manager.domain.model import AssignmentRecord, TrustedCaRecord
from manager.pki.chain.chain import Chain
from manager.pki.judge.headline import Headline as JudgedHeadline
from manager.usecases.certificates import ListedCertificate, ShownCertificate
from manager.usecases.trust import ShownTrustedCa


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a certificate is assigned."""

    node: str
    slot: Slot


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One of the specification's statuses: `code` for machines, `text` for people."""

    code: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth knowing about a certificate. `severity` is error (clients refuse it), warning (some do) or note."""

    code: str
    message: str
    severity: str


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """What to say first of a certificate: the worst of its statuses, its chain's state and its findings."""

    code: str
    text: str
    severity: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate of a chain: where it came from (leaf, uploaded, intermediate, trusted), and what is wrong with it."""

    subject: str
    issuer: str
    fingerprint: str
    not_after_s: int
    source: str
    problems: tuple[str, ...]


class ChainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A chain of trust, leaf first. `strict_client` is "" if a strict client accepts it now, else why it does not."""

    state: str
    explanation: str
    missing_issuer: str
    links: list[Link]
    strict_client: str


class CertificateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate; never its key. What follows `nodes` stands only where one certificate was asked for."""

    id: int
    subject_name: str
    issuer_name: str
    serial_no: str
    fingerprint: str
    not_before_s: int
    not_after_s: int
    subject_alt_names: tuple[str, ...]
    key_type: str
    key_bits: int
    status: str
    statuses: list[Status]
    chain_state: str
    headline: Headline
    temporary: bool
    nodes: list[Place]
    raw_subject: str | None = None
    raw_issuer: str | None = None
    chain_of_trust: ChainAnswer | None = None
    findings: list[Finding] | None = None
    undecodable: tuple[str, ...] | None = None
    oddities: tuple[str, ...] | None = None
    certificate: str | None = None
    chain: str | None = None
    parameters: str | None = None
    text: str | None = None
    created: bool | None = None
    consequences: list[ConsequenceAnswer] | None = None


class CertificatesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of certificates, and how many there are in all."""

    total: int
    certificates: list[CertificateAnswer]


class SlotAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's slot has; null if nothing."""

    node: str
    slot: Slot
    certificate: CertificateAnswer | None


class SlotsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What each node's slots have."""

    slots: list[SlotAnswer]


class NodeNames(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes, by name."""

    nodes: list[str]


class AssignedAnswer(NodeNames, frozen=True, kw_only=True):
    """Nodes that have a certificate now, what that means for them, and what is to be said about the certificate."""

    consequences: list[ConsequenceAnswer]
    findings: list[Finding]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was assigned."""

    nodes: list[Place]


class TrustedCaAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trusted CA. `held_out` says why nodes do not get it, where they do not. What follows `trusted_intermediate` stands only where it was asked for, `created` only after an upload."""

    id: int
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    serial_no: str
    fingerprint: str
    # false for a peer's self-signed certificate, which is trusted as itself alone
    is_ca: bool | None = None
    not_before_s: int
    not_after_s: int
    self_signed: bool
    trusted_intermediate: bool
    status: str | None = None
    statuses: list[Status] | None = None
    held_out: str | None = None
    # why clients accept nothing below it
    faults: list[str] | None = None
    certificate: str | None = None
    text: str | None = None
    created: bool | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was not taken, where it stands, and why."""

    message: str
    file: str | None = None
    block: int | None = None
    line: int | None = None


class TrustedCasAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Custom trusted CAs; `warnings` are about all of them together; `left_out` is what an upload did not take, `consequences` what it means."""

    trusted_cas: list[TrustedCaAnswer]
    warnings: list[str]
    left_out: list[LeftOut] | None = None
    consequences: list[ConsequenceAnswer] | None = None


class BuiltinCa(msgspec.Struct, frozen=True, kw_only=True):
    """A CA of the built-in list."""

    subject_name: str
    raw_subject: str
    fingerprint: str
    not_after_s: int
    status: str


class BuiltinCas(msgspec.Struct, frozen=True, kw_only=True):
    """The built-in list."""

    builtin: list[BuiltinCa]


class ImportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an import kept; `left_out` is what it did not, which `skip_unusable` allows, and `warnings` are about all trusted CAs."""

    certificates: list[CertificateAnswer]
    trusted_cas: list[TrustedCaAnswer]
    warnings: list[str]
    left_out: list[LeftOut] = []
    consequences: list[ConsequenceAnswer] = []


def left_out(findings: Sequence[PkiError]) -> list[LeftOut]:
    """Say what was not taken."""
    return [
        LeftOut(message=each.message, file=each.file, block=each.block, line=each.line) for each in findings
    ]


def finding_answers(found: Iterable[JudgedFinding]) -> list[Finding]:
    """Say what was found, the worst first."""
    return [
        Finding(code=each.code, message=each.message, severity=each.severity) for each in by_severity(found)
    ]


def place(each: AssignmentRecord) -> Place:
    """Say where a certificate is assigned."""
    return Place(node=each.node, slot=each.slot)


def certificate_answer(listed: ListedCertificate) -> CertificateAnswer:
    """Say what a list says."""
    entry, leaf = listed.entry, listed.entry.leaf
    return CertificateAnswer(
        id=entry.id,
        subject_name=leaf.subject_name,
        issuer_name=leaf.issuer_name,
        serial_no=leaf.serial_no,
        fingerprint=leaf.fingerprint,
        not_before_s=leaf.not_before_s,
        not_after_s=leaf.not_after_s,
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
    """Say everything."""
    judgement, leaf = shown.judgement, shown.entry.leaf
    listed = ListedCertificate(
        entry=shown.entry,
        statuses=judgement.statuses,
        chain_state=judgement.chain.state,
        findings=judgement.findings,
    )
    return msgspec.structs.replace(
        certificate_answer(listed),
        raw_subject=leaf.raw_subject,
        raw_issuer=leaf.raw_issuer,
        chain_of_trust=_chain(
            judgement.chain, "" if judgement.verdict.accepted else judgement.verdict.reason
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
    """Say what is kept of a trusted CA."""
    return TrustedCaAnswer(
        id=record.id,
        subject_name=record.subject_name,
        issuer_name=record.issuer_name,
        raw_subject=record.raw_subject,
        raw_issuer=record.raw_issuer,
        serial_no=record.serial_no,
        fingerprint=record.fingerprint,
        not_before_s=record.not_before_s,
        not_after_s=record.not_after_s,
        self_signed=record.self_signed,
        trusted_intermediate=record.trusted_intermediate,
        created=created,
    )


def trusted_ca_answer(shown: ShownTrustedCa) -> TrustedCaAnswer:
    """Say what a list says of a trusted CA, and its texts where one was asked for."""
    return msgspec.structs.replace(
        trusted_ca_record_answer(shown.record),
        # decoded now: what the store keeps may stem from a version that knew fewer names
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


def _chain(chain: Chain, strict_client: str) -> ChainAnswer:
    return ChainAnswer(
        state=chain.state,
        explanation=chain.explanation,
        missing_issuer=chain.missing_issuer,
        links=[
            Link(
                subject=link.certificate.label,
                issuer=link.certificate.raw_issuer,
                fingerprint=link.certificate.fingerprint,
                not_after_s=link.certificate.not_after_s,
                source=link.source,
                problems=link.problems,
            )
            for link in chain.links
        ],
        strict_client=strict_client,
    )
