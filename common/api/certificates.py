"""TLS certificates: how they are shown, and what is answered to a change.

Invariant: no answer has a field for a private key.
"""

import msgspec

from common.api.errors import ConsequenceAnswer
from common.api.findings import Finding, Headline, LeftOut, Status
from common.api.trust import TrustedCaAnswer
from common.api.values import Calendar, SlotCode, Unreadable


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a certificate is assigned."""

    node: str
    slot: SlotCode


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate of a chain: where it came from (leaf, uploaded, intermediate, trusted), and what is wrong with it."""

    subject: str
    issuer: str
    fingerprint: str
    not_after_s: Calendar
    source: str
    problems: tuple[str, ...]
    unreadable: Unreadable = ()


class ChainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A chain of trust, leaf first. `strict_client` is "" if a strict client accepts it now, else why it does not.

    It is judged for a `purpose`: `server`, or `client` for a certificate that is only shown as a client's or good for nothing else, about
    which a strict server is asked.
    """

    state: str
    explanation: str
    missing_issuer: str
    links: list[Link]
    strict_client: str
    purpose: str = "server"


class CertificateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate; never its key. What follows `unreadable` stands only where one certificate was asked for."""

    id: int
    subject_name: str
    issuer_name: str
    serial_no: str
    fingerprint: str
    not_before_s: Calendar
    not_after_s: Calendar
    subject_alt_names: tuple[str, ...]
    key_type: str
    key_bits: int
    status: str
    statuses: list[Status]
    chain_state: str
    headline: Headline
    temporary: bool
    nodes: list[Place]
    unreadable: Unreadable = ()
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
    note: str | None = None
    created: bool | None = None
    consequences: list[ConsequenceAnswer] | None = None


class CertificatesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of certificates, and how many there are in all."""

    total: int
    certificates: list[CertificateAnswer]


class SlotAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's slot has; null if nothing."""

    node: str
    slot: SlotCode
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


class ImportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an import kept; `warnings` are about all trusted CAs.

    `left_out` is what it did not keep: files of an archive that obviously hold nothing of use, and what `skip_unusable` allows.
    """

    certificates: list[CertificateAnswer]
    trusted_cas: list[TrustedCaAnswer]
    warnings: list[str]
    left_out: list[LeftOut] = []
    consequences: list[ConsequenceAnswer] = []
