"""Material of one TLS certificate that has been read: the shape that upload, import and generation share."""

from dataclasses import dataclass, field

from common.errors import PkiError
from common.pki.certificate import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMaterial:
    """A leaf with its key and what came with it. Crosses process boundaries; never shows the key.

    Attributes:
        leaf: the certificate that pairs with the key.
        chain: its issuers in order, the leaf's issuer first, as far as they link; no self-signed root.
        extras: the other certificates that came with it, roots among them, in the order given.
        private_key_pem: unencrypted PKCS#8 PEM. Secret.
        parameters_pem: DH, then EC parameters, "" if none.
        certificate_text: the certificate as it was given, verbatim unless it may include a private key (see
            `redaction.without_private_keys`); from an import or another place, the certificates in canonical
            form.
        parameters_text: the parameters as they were given, likewise.
        left_out: members of the same archive that obviously hold neither a certificate nor a key.
        kept: certificates of the entry that it updates; they did not come with it, but still complete its
            chain.
    """

    leaf: Certificate
    chain: tuple[Certificate, ...]
    extras: tuple[Certificate, ...]
    private_key_pem: str = field(repr=False)
    parameters_pem: str
    certificate_text: str
    parameters_text: str = ""
    left_out: tuple[PkiError, ...] = ()
    kept: tuple[Certificate, ...] = ()

    @property
    def companions(self) -> tuple[Certificate, ...]:
        """Return all certificates except the leaf."""
        return (*self.chain, *self.extras, *self.kept)
