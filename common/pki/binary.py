"""Tell what a binary (DER) file is, by its shape.

Decides the label that the same content would have in PEM, so that one set of rules reads both.
Invariant: never raises; what has no known shape is None.
"""

from cryptography import x509

from common.pki import der
from common.pki.pem import CERTIFICATE, Block
from common.pki.pfx import DATA
from common.pki.signature import DECODING_ERRORS

PFX = "PKCS12"

# the tags of the outermost SEQUENCE's first elements (RFC 8017 A.1.2, RFC 5915 3, RFC 5958 2 and 3, RFC 5280 4.1)
_SHAPES = (
    ((der.INTEGER, der.SEQUENCE, der.OCTET_STRING), "PRIVATE KEY"),
    ((der.INTEGER, der.INTEGER, der.INTEGER, der.INTEGER), "RSA PRIVATE KEY"),
    ((der.INTEGER, der.OCTET_STRING), "EC PRIVATE KEY"),
    ((der.SEQUENCE, der.OCTET_STRING), "ENCRYPTED PRIVATE KEY"),
    ((der.INTEGER, der.INTEGER), "DH PARAMETERS"),
    ((der.SEQUENCE, der.BIT_STRING), "PUBLIC KEY"),
)


def looks_binary(data: bytes) -> bool:
    """Tell DER from text: it begins with a SEQUENCE, and holds no PEM mark."""
    return data[:1] == b"\x30" and b"-----BEGIN" not in data


def identify(data: bytes, *, file: str) -> Block | None:
    """Return the file's content as a block with the label that it would have in PEM, PFX for PKCS#12."""
    try:
        label = _label(data)
    except der.DerError:
        return None
    return Block(label=label, der=data, file=file, line=None) if label else None


def _label(data: bytes) -> str | None:
    fields = der.sequence(data)
    tags = tuple(field.tag for field in fields)
    if tags[:3] == (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING):
        return "CERTIFICATE REQUEST" if _is_request(data) else CERTIFICATE
    if tags[:2] == (der.INTEGER, der.SEQUENCE) and _is_content(fields[1]):
        return PFX
    return next((label for shape, label in _SHAPES if tags[: len(shape)] == shape), None)


def _is_content(element: der.Element) -> bool:
    inner = der.members(element, der.SEQUENCE)
    return bool(inner) and inner[0].tag == der.OBJECT_ID and der.object_id(inner[0]) == DATA


def _is_request(data: bytes) -> bool:
    try:
        x509.load_der_x509_csr(data)
    except DECODING_ERRORS:
        return False
    return True
