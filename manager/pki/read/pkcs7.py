"""PKCS#7 bags of certificates (`.p7b`, `.p7c`; RFC 5652 5).

Decides what is in one. Invariant: everything in the bag is returned or raised; a signed message is not a bag.
"""

from common.errors import PkiError, Reason
from common.pki import der
from manager.pki.read.ber import to_der
from manager.pki.read.binary import SIGNED

_CERTIFICATES, _CRLS = 0xA0, 0xA1
_DAMAGED = "the PKCS#7 content is damaged"


def certificates_of(data: bytes) -> tuple[bytes, ...]:
    """Return the certificates in a bag, in DER.

    Raises PkiError: PARSE, UNSUPPORTED (a message, a revocation list), INVALID (empty).
    """
    try:
        return _certificates(to_der(data))
    except der.DerError as error:
        raise PkiError(_DAMAGED) from error


def _certificates(data: bytes) -> tuple[bytes, ...]:
    kind, content = der.sequence(data, 2)[:2]
    if der.object_id(kind) != SIGNED:
        raise PkiError(
            "this is an encrypted PKCS#7 message, not a set of certificates", reason=Reason.UNSUPPORTED
        )
    fields = der.members(der.first(content.content), der.SEQUENCE, 3)
    if len(der.members(fields[2], der.SEQUENCE, 1)) > 1:
        raise PkiError(
            "this is a signed PKCS#7 message, not a set of certificates", reason=Reason.UNSUPPORTED
        )
    found: tuple[bytes, ...] = ()
    for one in fields[3:]:
        if one.tag == _CERTIFICATES:
            inside = der.children(one.content)
            if any(each.tag != der.SEQUENCE for each in inside):
                raise PkiError(
                    "the PKCS#7 content has attribute certificates, which cannot be used here",
                    reason=Reason.UNSUPPORTED,
                )
            found = tuple(each.raw for each in inside)
        elif one.tag == _CRLS and der.children(one.content):
            raise PkiError(
                "the PKCS#7 content has a certificate revocation list, which cannot be used here; "
                "write it without ('openssl crl2pkcs7 -nocrl')",
                reason=Reason.UNSUPPORTED,
            )
    if not found:
        raise PkiError("the PKCS#7 content has no certificate", reason=Reason.INVALID)
    return found
