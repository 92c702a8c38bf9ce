"""Records that the store is given to keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.ids import CertificateId, Digest, Fingerprint, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedColumns:
    """What the tables of certificates and of trusted CAs have of what was decoded.

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
    """A TLS certificate as it comes in; see `manager.domain.model.CertificateRecord`. The key never shows in a repr."""

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
    """A trusted CA as it comes in; see `manager.domain.model.TrustedCaRecord`."""

    text: str
    certificate_pem: str
    decoded: DecodedColumns
    trusted_intermediate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCsr:
    """A certificate signing request as it is made; see `manager.domain.model.CsrRecord`."""

    pem: str
    private_key_pem: str = field(repr=False)
    subject_name: str
    raw_subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    replaces_id: CertificateId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """A generation to publish. `payloads` may lack what an earlier generation brought; `secrets` are sealed.

    `copies` is the number of the node's generation whose content it has, and `superseded_digest` the digest of what the node would
    have otherwise; both None for what is published in the ordinary way. `node_id` is the store's number of the node that it was made
    for: another node that has its name meanwhile is not given it. `follows` is the number of what was the node's newest generation when this
    was made, 0 if it had none.
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
