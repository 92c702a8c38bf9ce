"""The API's answers about certificates, trusted CAs, requests and alarms, as far as the command reads them.

As in `shapes`: unknown fields are ignored and optional ones may be missing.
"""

import msgspec

from manager.cli.failures import Consequence, Finding


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a certificate is assigned."""

    node: str
    slot: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One of the specification's statuses."""

    code: str = ""
    text: str = ""


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """The worst of statuses, chain and findings: what a list says first."""

    code: str = ""
    text: str = ""
    severity: str = ""


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth knowing about a certificate. `severity` is error, warning or note."""

    code: str = ""
    message: str = ""
    severity: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate of a chain of trust."""

    subject: str = ""
    issuer: str = ""
    fingerprint: str = ""
    not_after_s: float = 0
    source: str = ""
    problems: list[str] = []


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """A chain of trust, leaf first; `strict_client` is "" if a strict client accepts it."""

    state: str = ""
    explanation: str = ""
    missing_issuer: str = ""
    links: list[Link] = []
    strict_client: str = ""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate or trusted CA in the store. What follows `created` stands only in the answer about one."""

    id: int
    subject_name: str = ""
    issuer_name: str = ""
    raw_subject: str = ""
    raw_issuer: str = ""
    serial_no: str = ""
    fingerprint: str = ""
    not_before_s: float | None = None
    not_after_s: float | None = None
    subject_alt_names: list[str] = []
    key_type: str = ""
    key_bits: int = 0
    status: str = ""
    statuses: list[Status] = []
    headline: Headline | None = None
    chain_state: str = ""
    nodes: list[Place] = []
    held_out: str = ""
    faults: list[str] = []
    self_signed: bool = False
    is_ca: bool | None = None
    trusted_intermediate: bool = False
    created: bool = True
    chain_of_trust: Chain | None = None
    findings: list[Remark] = []
    consequences: list[Consequence] = []
    undecodable: list[str] = []
    oddities: list[str] = []
    certificate: str = ""
    parameters: str = ""
    text: str = ""


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """A page of certificates, and how many there are in all."""

    certificates: list[Certificate]
    total: int = 0


class RawPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page whose certificates stay as they came."""

    certificates: list[msgspec.Raw]
    total: int = 0


class NodeSlot(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's slot has."""

    node: str
    slot: str
    certificate: Certificate | None = None


class NodeSlots(msgspec.Struct, frozen=True, kw_only=True):
    """What every node's slots have."""

    slots: list[NodeSlot]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an import."""

    certificates: list[Certificate] = []
    trusted_cas: list[Certificate] = []
    warnings: list[str] = []
    left_out: list[Finding] = []
    consequences: list[Consequence] = []


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """What an assignment means, and what is wrong with the certificate."""

    consequences: list[Consequence] = []
    findings: list[Remark] = []


class TrustedCas(msgspec.Struct, frozen=True, kw_only=True):
    """All trusted CAs, or those just sent."""

    trusted_cas: list[Certificate]
    warnings: list[str] = []
    left_out: list[Finding] = []


class BuiltinCa(msgspec.Struct, frozen=True, kw_only=True):
    """A CA of the built-in list."""

    subject_name: str = ""
    raw_subject: str = ""
    fingerprint: str = ""
    not_after_s: float = 0
    status: str = ""


class BuiltinCas(msgspec.Struct, frozen=True, kw_only=True):
    """The built-in list."""

    builtin: list[BuiltinCa]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where deleted certificates were assigned."""

    nodes: list[Place] = []


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate signing request. `replaces` and `answered_by` are ids of certificates."""

    id: int
    subject_name: str = ""
    raw_subject: str = ""
    subject_alt_names: list[str] = []
    key_type: str = ""
    csr: str = ""
    replaces: int | None = None
    answered_by: int | None = None
    created_s: float | None = None
    answered_s: float | None = None


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """All certificate signing requests."""

    requests: list[Request]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that stands, or stood until `lowered_s`."""

    id: int
    kind: str = ""
    name: str = ""
    level: str = ""
    label: str = ""
    node: str = ""
    details: str = ""
    raised_s: float = 0
    lowered_s: float | None = None
    acknowledged_s: float | None = None
    acknowledged_by: str | None = None


class Alarms(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms, the latest first."""

    alarms: list[Alarm]
