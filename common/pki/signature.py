"""Whether one certificate was signed with another's key.

Decides by the signature alone: names, dates and uses are the chain's affair. Old hashes (SHA-1, MD5) verify here,
because "signed with SHA-1" must be told from "not signed by it"; whether they are good enough is the status's affair.
"""

import warnings
from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import HashAlgorithm

_T = TypeVar("_T")

DECODING_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.ExtensionNotFound,
    OverflowError,
    KeyError,
    # only in a process that turns warnings into errors
    Warning,
)
"""What the accessors of a certificate that loaded may still raise."""


def despite_warnings(reader: Callable[[], _T]) -> _T:
    """Call the library's `reader`, also in a process that turns warnings into errors.

    Some public roots have a serial number of zero or below, some products write PKCS#12 as BER: the library warns of these as
    yet, and people have them.
    """
    try:
        return reader()
    except Warning:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader()


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer`'s key made the signature on `certificate`. Whatever cannot be checked is not signed."""
    try:
        _verify(certificate, issuer.public_key())
    except (InvalidSignature, *DECODING_ERRORS):
        return False
    return True


def _verify(certificate: x509.Certificate, key: CertificatePublicKeyTypes) -> None:
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    parameters = certificate.signature_algorithm_parameters
    match key:
        case rsa.RSAPublicKey() if isinstance(parameters, padding.PKCS1v15 | padding.PSS | None):
            # the library names no padding for MD5, which has only the one
            key.verify(signature, signed, parameters or padding.PKCS1v15(), _hash(certificate))
        case ec.EllipticCurvePublicKey() if isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, signed)
        case dsa.DSAPublicKey():
            key.verify(signature, signed, _hash(certificate))
        case _:
            raise InvalidSignature


def _hash(certificate: x509.Certificate) -> HashAlgorithm:
    found = certificate.signature_hash_algorithm
    if found is None:
        raise InvalidSignature
    return found
