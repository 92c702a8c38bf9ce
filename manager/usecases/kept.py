"""New records: the store's form of certificates that were read or made.

Decides which columns a certificate fills; the store decides whether it is a new entry.
"""

from common.pki.certificate import Certificate
from manager.pki.judge.identity import issuer_of, key_of
from manager.pki.read.material import TlsMaterial
from manager.pki.read.redaction import without_private_keys
from manager.store.records import DecodedColumns, NewCertificate, NewTrustedCa


def new_certificate(material: TlsMaterial, *, temporary: bool = False) -> NewCertificate:
    """Return the stored form of a certificate that was read or made."""
    leaf = material.leaf
    return NewCertificate(
        text=material.certificate_text,
        leaf_pem=leaf.pem,
        chain_pem="".join(each.pem for each in (*material.chain, *material.kept)),
        parameters_pem=material.parameters_pem,
        parameters_text=material.parameters_text,
        private_key_pem=material.private_key_pem,
        decoded=_decoded(leaf),
        subject_alt_names=leaf.subject_alt_names,
        temporary=temporary,
    )


def new_trusted_ca(
    certificate: Certificate, *, text: str = "", trusted_intermediate: bool = True
) -> NewTrustedCa:
    """Return the stored form of a CA certificate, with `text` unchanged. A root is trusted as itself."""
    return NewTrustedCa(
        text=without_private_keys(text) or certificate.pem,
        certificate_pem=certificate.pem,
        decoded=_decoded(certificate),
        trusted_intermediate=trusted_intermediate and not certificate.is_self_signed,
    )


def _decoded(certificate: Certificate) -> DecodedColumns:
    return DecodedColumns(
        fingerprint=certificate.fingerprint,
        subject_name=certificate.subject_name,
        issuer_name=certificate.issuer_name,
        raw_subject=certificate.raw_subject,
        raw_issuer=certificate.raw_issuer,
        issuer_id=issuer_of(certificate),
        serial_no=certificate.serial_no,
        public_key_id=key_of(certificate),
        not_before_s=certificate.not_before_s,
        not_after_s=certificate.not_after_s,
        self_signed=certificate.is_self_signed,
    )
