"""Records of the manager, as the store returns them.

Times are unix seconds; those of a certificate are None if unreadable. Invariant: no record here contains a
private key; the store unseals keys only into a `common.bundle.build.SlotMaterial`, for a bundle that is being
compiled.
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
    """A TLS certificate in the store.

    `text` is the upload, verbatim; `chain_pem` its accompanying certificates, in order.

    `chain_pem` also has former accompanying certificates that the chain of trust needs
    (`manager.domain.keeping`). `parameters_text` is what was given separately, verbatim; `parameters_pem` has
    all parameters, including those of `text`.

    `temporary` marks the self-signed certificate that a new node gets. `annotations` has every field, "" if
    empty.
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

    `self_signed` ones are roots; all others are intermediates that complete served chains.
    `trusted_intermediate` lets nodes verify peers with an intermediate; it is False for a root, which they
    always use.
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
        """Whether nodes verify peers with it, rather than only complete chains with it."""
        return self.self_signed or self.trusted_intermediate


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrRecord:
    """A certificate signing request whose key is in the store.

    `replaces_id` is the certificate that it was made for, `answer_id` the one that resulted; None if there is
    none or it was deleted. A CA may answer more than once; `answer_text` is the latest answer, verbatim.
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
    """How a node got its pinned key: by a token, or vouched for by the former key.

    `address` is the source of the request. `former` is the fingerprint of the replaced key, and
    `former_address` the node's last address with it; "" if there was none.
    """

    how: KeyChangeKind
    at_s: float
    address: str
    fingerprint: str
    former: str = ""
    former_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node.

    `public_key` is its pinned OpenSSH ed25519 key line, "" until it joins; `key_change` is how it got the
    key.

    `key_change` is None until it joins, and for nodes that joined before this was recorded. `detail` is data
    that clients of the management API store with it and Certcast does not use.
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
        """Return the names by which clients reach it; its own short name, the default, is not one."""
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

    `superseded_digest` is set for republished older content: the digest that the store wanted of the node
    then.
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
    """The latest push to a node: the offered version and its progress.

    `concluded_s` is None while it is running.
    """

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
    """Stored last report of a node, with the receiving manager's own data. Times are by that manager's clock.

    `node_id` is the store's number of the node: a later node of the same name has another. `at_s` is when
    this was assembled, `last_report_s` the node's last message, and `enrolled_s` when the reporting node
    joined. A failure reported by the node blocks retries until `reported_retry_s`; `refused` is known only to
    the manager. These are None in records of former releases.
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
    """Last known source address."""
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecord:
    """A client program that signs in with its own key; `public_key` is PEM.

    `api_role_id` is its role from the management API; None is the built-in one of its level. `created_by` is
    the administrator who registered it, "" if unknown. Last use is accurate to some minutes.
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
    """A role of the management API; `permissions` are codenames. Built-in roles are named like the levels."""

    id: int
    name: str
    permissions: tuple[str, ...]
    built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A user's API token, without the secret.

    `scope` is a `common.codes.Scope`; last use is accurate to some minutes.
    """

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
    """A user's browser session. `id` names it and does not reveal the browser's token."""

    id: str
    created_s: float
    seen_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescription:
    """What is known about a node besides its key; see `NodeRecord`.

    `slots` are the changed slots with their certificates, None for an emptied one.
    """

    names: Sequence[str]
    addresses: Sequence[str]
    detail: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[Slot, CertificateId | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTokenRecord:
    """An unused join token, without its secret."""

    id: int
    node: str
    created_s: float
    expires_s: float
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user who may sign in."""

    id: int
    name: str
    role: Role
    created_s: float
