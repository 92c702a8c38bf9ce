"""One extension in the library's own types, read by itself.

The library reads all extensions of a certificate or none. Here each is put into an otherwise empty certificate, so that a bad
neighbour hides nothing. Invariant: the value's bytes are the certificate's own; nothing is re-encoded.
"""

from typing import TypeVar

from cryptography import x509

from common.pki import der
from common.pki.certificate import Certificate
from common.pki.frame import read_frame
from common.pki.signature import despite_warnings

_E = TypeVar("_E", bound=x509.ExtensionType)

_ED25519 = der.encode(der.SEQUENCE, bytes.fromhex("06032b6570"))
_EMPTY = der.encode(der.SEQUENCE, b"")
_MOMENT = der.encode(0x17, b"000101000000Z")
_BEFORE = (
    der.encode(0xA0, der.encode_integer(2))
    + der.encode_integer(1)
    + _ED25519
    + _EMPTY
    + der.encode(der.SEQUENCE, _MOMENT + _MOMENT)
    + _EMPTY
    + der.encode(der.SEQUENCE, _ED25519 + der.encode(der.BIT_STRING, bytes(33)))
)
_AFTER = _ED25519 + der.encode(der.BIT_STRING, bytes(65))


def typed_extension(certificate: Certificate, kind: type[_E]) -> _E | None:
    """Return an extension in the library's type, None where the certificate has none.

    Raises one of DECODING_ERRORS where its value cannot be read, or where there are two that differ.
    """
    oid = kind.oid.dotted_string
    extensions = read_frame(certificate.der).extensions
    if extensions is None:
        raise der.DerError("the extensions cannot be walked")
    values = {one.value for one in extensions if one.oid == oid}
    if not values:
        return None
    if len(values) > 1:
        raise der.DerError("an extension occurs twice")
    found = despite_warnings(
        lambda: x509.load_der_x509_certificate(_holder(kind, *values)).extensions[0].value
    )
    if not isinstance(found, kind):
        raise der.DerError("an extension cannot be read")
    return found


def _holder(kind: type[x509.ExtensionType], value: bytes) -> bytes:
    identifier = der.encode_object_id(kind.oid.dotted_string)
    one = der.encode(der.SEQUENCE, identifier + der.encode(der.OCTET_STRING, value))
    inside = _BEFORE + der.encode(0xA3, der.encode(der.SEQUENCE, one))
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, inside) + _AFTER)
