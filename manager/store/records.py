"""Records to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.ids import CertificateId, Digest, Fingerprint, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedColumns:
    """Columns of decoded content that certificates and trusted CAs share.

    `issuer_id` and `public_key_id` are digests (`manager.pki.judge.identity`).
    """

    fingerprint: Fingerprint
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    issuer_id: str
    serial_no: str
    public_key_id: str
    not_before_s: int | None
    not_after_s: int | None
    self_signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCertificate:
    """A new TLS certificate; see `manager.domain.model.CertificateRecord`. Its repr never shows the key."""

    text: str
    leaf_pem: str
    chain_pem: str
    parameters_pem: str
    private_key_pem: str = field(repr=False)
    decoded: DecodedColumns
    subject_alt_names: tuple[str, ...]
    temporary: bool
    parameters_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrustedCa:
    """A new trusted CA; see `manager.domain.model.TrustedCaRecord`."""

    text: str
    certificate_pem: str
    decoded: DecodedColumns
    trusted_intermediate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCsr:
    """A new certificate signing request; see `manager.domain.model.CsrRecord`."""

    pem: str
    private_key_pem: str = field(repr=False)
    subject_name: str
    raw_subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    replaces_id: CertificateId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """A generation to publish. `payloads` may omit those of earlier generations; `secrets` are sealed.

    `copies` is the number of the generation of this node whose content it repeats, and `superseded_digest`
    the digest of what the node would have otherwise; both are None for an ordinary generation. `node_id` is
    the store's id of the node that it was made for, so that another node that has the name by now does not
    get it. `follows` is the number of the node's newest generation when this one was made, 0 if it had none.
    """

    node: NodeName
    node_id: int
    follows: int
    epoch: int
    generation: int
    digest: Digest
    manifest: bytes
    payloads: Mapping[Digest, bytes] = field(repr=False)
    secrets: frozenset[Digest]
    cause: str
    created_s: float
    copies: int | None = None
    superseded_digest: Digest | None = None
