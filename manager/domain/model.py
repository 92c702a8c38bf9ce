"""The manager's nouns, as the store hands them out.

Times are unix seconds; those of a certificate are None where they cannot be read. Invariant: no record here carries a private key; keys are unsealed only into a
`common.bundle.build.SlotMaterial`, by the store, for a bundle that is being compiled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.bundle.manifest import Slot
from common.codes import KeyChangeKind, NodeKind, Phase, Role
from common.ids import CertificateId, CsrId, Digest, Fingerprint, NodeName, TrustedCaId
from common.pki.name import name_or_placeholder
from manager.domain.annotations import Annotations
from manager.domain.contact import Contact
from manager.domain.report import Applied, ConfigurationFault, Failure, PartRefused, Serving, Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """A TLS certificate in the store. `text` is what was uploaded, verbatim; `chain_pem` what stood with it in order.

    To that is added what its chain of trust needs of what stood with it before (`manager.domain.keeping`).
    `parameters_text` is what was given beside the certificate, verbatim; `parameters_pem` all parameters, wherever they stood.

    `temporary` marks the self-signed certificate that a node got when it was added. `annotations` are all given, "" where nothing is written.
    """

    id: CertificateId
    text: str
    leaf_pem: str
    chain_pem: str
    parameters_pem: str
    parameters_text: str
    fingerprint: Fingerprint
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    serial_no: str
    subject_alt_names: tuple[str, ...]
    not_before_s: int | None
    not_after_s: int | None
    self_signed: bool
    temporary: bool
    created_s: float
    changed_s: float
    annotations: Annotations

    @property
    def display_name(self) -> str:
        """A short name for lists and titles: never empty."""
        return name_or_placeholder(self.subject_name, self.raw_subject, *self.subject_alt_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCaRecord:
    """A custom trusted CA.

    `self_signed` ones are roots; all others are intermediates that complete served chains. `trusted_intermediate` says of
    an intermediate that nodes may use it to verify their peers; it is False for a root, which they always use.
    """

    id: TrustedCaId
    text: str
    certificate_pem: str
    fingerprint: Fingerprint
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    serial_no: str
    not_before_s: int | None
    not_after_s: int | None
    self_signed: bool
    trusted_intermediate: bool
    created_s: float

    @property
    def display_name(self) -> str:
        """A short name for lists and titles: never empty."""
        return name_or_placeholder(self.subject_name, self.raw_subject)

    @property
    def is_anchor(self) -> bool:
        """Whether nodes verify peers with it, and do not only complete chains with it."""
        return self.self_signed or self.trusted_intermediate


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrRecord:
    """A certificate signing request whose key is in the store.

    `replaces_id` is the certificate that it was made for, `answer_id` the one that came of it; None if there is none or it was
    deleted. A CA may answer more than once; `answer_text` is what came last, verbatim.
    """

    id: CsrId
    pem: str
    subject_name: str
    raw_subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    replaces_id: CertificateId | None
    answer_id: CertificateId | None
    created_s: float
    answered_s: float | None
    answer_text: str | None = None

    @property
    def display_name(self) -> str:
        """A short name for lists and titles: never empty."""
        return name_or_placeholder(self.subject_name, self.raw_subject, *self.subject_alt_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """How a node came by the key that is pinned: by a token when it had none or another, or vouched for by the former key.

    `address` is where the request came from; `former` the fingerprint of the key that this one replaced, and `former_address` where
    the node was last connected from with it; "" if there was none.
    """

    how: KeyChangeKind
    at_s: float
    address: str
    fingerprint: str
    former: str = ""
    former_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node. `public_key` is its pinned OpenSSH ed25519 key line ("" until it joined), `key_change` how it got there.

    `key_change` is None until it joined, and of a node that joined before this was kept. `detail` is what clients of the management API keep with it and Certcast has no use for.
    """

    id: int
    name: NodeName
    kind: NodeKind
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    public_key: str
    created_s: float
    enrolled_s: float | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    key_change: KeyChange | None = None

    @property
    def client_names(self) -> tuple[str, ...]:
        """Return the names by which clients reach it. Its own short name, which stands there if none was given, is not one."""
        return tuple(name for name in self.names if name != self.name or "." in name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentRecord:
    """A certificate in a node's slot; at most one per node and slot."""

    node: NodeName
    slot: Slot
    certificate_id: CertificateId


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord:
    """One immutable generation of a node: `manifest` is its canonical bytes.

    `superseded_digest` is set where older content was republished: the digest of what the store wanted of the node then.
    """

    node: NodeName
    epoch: int
    generation: int
    digest: Digest
    manifest: bytes
    created_s: float
    cause: str
    superseded_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRecord:
    """The latest push to a node: what was offered, and how far that has come. `concluded_s` is None while it is under way."""

    push_id: str
    epoch: int
    generation: int
    digest: str
    leaves: Mapping[Slot, str]
    changed_s: float
    offered_s: float
    forced: bool
    concluded_s: float | None
    phase: Phase | None
    result: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReportRecord:
    """What the store keeps of a node's last report, and what the manager that got it knows beside it. Times are by that one's clock.

    `node_id` is the store's number of the node: another one that has its name meanwhile did not say this. `at_s` is when this was put
    together, `last_report_s` when the node said something last; `enrolled_s` is when it had joined whose report this is. What a node says of its last
    failure rests until `reported_retry_s`, `refused` is what only the manager keeps. Those are None in what former releases kept.
    """

    node: NodeName
    at_s: float
    last_report_s: float | None = None
    enrolled_s: float | None = None
    awaiting_first_report: bool = False
    applied: Applied | None
    last_failed: Failure | None
    reported_retry_s: float | None = None
    refused: Failure | None = None
    refused_retry_s: float = 0.0
    refused_parts: tuple[PartRefused, ...] = ()
    push: PushRecord | None = None
    agent_version: str = ""
    serving: tuple[Serving, ...]
    disk: str
    drifts: int
    clock_skew_s: float
    waiting: tuple[Waiting, ...] = ()
    diagnostics: str = ""
    configuration: tuple[ConfigurationFault, ...] = ()
    node_id: int = 0
    address: str = ""
    """Where it was seen last."""
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecord:
    """A program that signs in with a key of its own; `public_key` is PEM.

    `api_role_id` is the role that a client of the management API gave it; None is the built-in one of its level.
    `created_by` is the administrator that registered it, "" where that is not known; last use is as of some minutes ago.
    """

    id: int
    client_id: str
    name: str
    role: Role
    public_key: str
    created_s: float
    api_role_id: int | None = None
    created_by: str = ""
    last_used_s: float | None = None
    last_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRoleRecord:
    """A role of the management API; `permissions` are codenames. The built-in ones are called like the levels."""

    id: int
    name: str
    permissions: tuple[str, ...]
    built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """An API token of a user, without the token. `scope` is a `common.codes.Scope`; last use is as of some minutes ago."""

    id: int
    user: str
    label: str
    scope: str
    created_s: float
    expires_s: float
    last_used_s: float | None
    last_source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """Where a user is signed in to the pages. `id` names it, and cannot be turned into what the browser keeps."""

    id: str
    created_s: float
    seen_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescription:
    """What is known of a node besides its key; see `NodeRecord`.

    `slots` are those that change, with the certificate that each is to have, None to empty it.
    """

    names: Sequence[str]
    addresses: Sequence[str]
    detail: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[Slot, CertificateId | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTokenRecord:
    """A join token that was not used yet, without its secret."""

    id: int
    node: str
    created_s: float
    expires_s: float
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """Someone who may sign in."""

    id: int
    name: str
    role: Role
    created_s: float
