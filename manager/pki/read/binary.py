"""Recognition of bytes by their shape: certificates and keys in DER, and other common files.

Decides which label the same content would have in PEM, so that one set of rules reads both, and what a block
really holds, whatever its label claims. Names files that are of no use here. Invariant: never raises,
decrypts nothing, and returns None for an unknown shape.
"""

from typing import Final

from common.pki import der
from common.pki.pem import CERTIFICATE
from manager.pki.read.ber import to_der
from manager.pki.read.parameters import is_probably_prime

PFX: Final = "PKCS12"
PKCS7: Final = "PKCS7"
REQUEST: Final = "CERTIFICATE REQUEST"

DATA, SIGNED, ENVELOPED, ENCRYPTED = (f"1.2.840.113549.1.7.{number}" for number in (1, 2, 3, 6))
"""Contents of RFC 5652 and RFC 7292."""

_BIT, _INT, _OCTETS, _OID, _SEQ = (
    der.BIT_STRING,
    der.INTEGER,
    der.OCTET_STRING,
    der.OBJECT_ID,
    der.SEQUENCE,
)
_CONTEXT_0, _ENUMERATED, _NULL = 0xA0, 0x0A, 0x05
_TIMES: Final = frozenset((0x17, 0x18))
_MAX_EXPONENT_BITS: Final = 64
_RSA_KEY_FIELDS, _DSA_KEY_FIELDS = 9, 6
_MIN_PRIME_BITS: Final = 512
_DH: Final = "DH PARAMETERS"

_SHAPES = (
    ((_INT, _SEQ, _OCTETS), "PRIVATE KEY"),
    ((_INT, _OCTETS), "EC PRIVATE KEY"),
    ((_SEQ, _OCTETS), "ENCRYPTED PRIVATE KEY"),
    ((_SEQ, _BIT), "PUBLIC KEY"),
)
"""The tags of the outermost SEQUENCE's first elements (RFC 5915 3, RFC 5958 2 and 3, RFC 5280 4.1.2.7)."""

_PUBLIC: Final = frozenset(
    (
        CERTIFICATE,
        REQUEST,
        "X509 CRL",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "DH PARAMETERS",
        "X9.42 DH PARAMETERS",
        "DSA PARAMETERS",
        "EC PARAMETERS",
    )
)

_UNPACK: Final = "unpack it, and give the PEM, DER or PKCS#12 files in it"
_ASK: Final = "give the certificates and keys themselves, as a PEM, DER or PKCS#12 file"

_MAGIC: Final = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", f"a gzip archive (as an F5 .ucs file is one); {_UNPACK}"),
    (b"\x1f\x9d", f"a compress archive; {_UNPACK}"),
    (b"BZh", f"a bzip2 archive; {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"an xz archive; {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"a zstd archive; {_UNPACK}"),
    (b"\x04\x22\x4d\x18", f"an lz4 archive; {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_UNPACK}"),
    (b"Rar!\x1a\x07", f"a RAR archive; {_UNPACK}"),
    (b"MSCF\x00\x00\x00\x00", f"a cabinet archive; {_UNPACK}"),
    (b"!<arch>\n", f"a package or ar archive; {_UNPACK}"),
    (b"\xed\xab\xee\xdb", f"an RPM package; {_UNPACK}"),
    (
        b"\xfe\xed\xfe\xed",
        "a Java keystore (JKS); 'keytool -importkeystore -deststoretype PKCS12' converts it",
    ),
    (
        b"\xce\xce\xce\xce",
        "a Java keystore (JCEKS); 'keytool -importkeystore -deststoretype PKCS12' converts it",
    ),
    (b"openssh-key-v1\x00", "an OpenSSH private key; convert it with 'ssh-keygen -p -m PKCS8'"),
    (b"PuTTY-User-Key-File", "a PuTTY key; PuTTYgen exports it in another form"),
    (b"SQLite format 3\x00", "an SQLite database, such as an NSS key database; 'pk12util' exports from it"),
    (b"%PDF", f"a PDF document; {_ASK}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document; save its text as a text file"),
    (b"{\\rtf", "a rich text document; save it as plain text"),
    (b"\x89PNG", f"a picture; {_ASK}"),
    (b"\xff\xd8\xff", f"a picture; {_ASK}"),
    (b"\x7fELF", f"a program; {_ASK}"),
    (b"MZ\x90\x00", f"a program; {_ASK}"),
    (b"-----BEGIN PGP", "a PGP key, or a file that PGP encrypts; decrypt it, and give what is in it"),
)
_BKS_VERSIONS: Final = (b"\x00\x00\x00\x01", b"\x00\x00\x00\x02")
_BKS_SALT_BYTES: Final = b"\x00\x00\x00\x14"
_TEXT_CONTROLS: Final = b"\t\r\n"
_TAR_MAGIC, _TAR_AT = b"ustar", 257


def looks_binary(data: bytes) -> bool:
    """Whether data is DER or BER, not text.

    It begins with a SEQUENCE or OID, and has control characters but no PEM mark.
    """
    if data[:1] not in {b"\x30", b"\x06"} or data[1:2] in {b"", b"\x00"} or b"-----BEGIN" in data:
        return False
    return any((one < 0x20 and one not in _TEXT_CONTROLS) or one > 0x7E for one in data[:64])


def foreign(data: bytes) -> str | None:
    """Name a kind of file that is neither PEM nor ASN.1: "a gzip archive"."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] in _BKS_VERSIONS and data[4:8] == _BKS_SALT_BYTES:
        return "a Bouncy Castle keystore (BKS); 'keytool -importkeystore -deststoretype PKCS12' converts it"
    if data[_TAR_AT : _TAR_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
        return f"a tar archive; {_UNPACK}"
    return None


def label_of(data: bytes, *, claimed: str = "") -> str | None:
    """Return the label that DER or BER has in PEM, PFX for PKCS#12; None if its shape is unknown.

    Data that is `claimed` to be DH parameters is not distinguished from an RSA public key here, which takes
    milliseconds; `parameters` does that.
    """
    try:
        return _label(to_der(data), claimed)
    except der.DerError:
        return None


def is_public(data: bytes) -> bool:
    """Whether data is exactly one DER element, of a kind that holds no private key."""
    try:
        return label_of(data, claimed=_DH) in _PUBLIC and der.first(data).raw == data
    except der.DerError:
        return False


def _label(data: bytes, claimed: str) -> str | None:
    outer = der.first(data)
    if outer.tag == _OID:
        return "EC PARAMETERS"
    fields = der.members(outer, _SEQ)
    tags = tuple(field.tag for field in fields)
    if tags[:3] == (_SEQ, _SEQ, _BIT):
        return _signed_label(fields[0])
    if tags[:2] == (_INT, _SEQ) and _content_kind(fields[1]) in {DATA, SIGNED}:
        return PFX
    if tags[:2] == (_OID, _CONTEXT_0):
        return PKCS7 if der.object_id(fields[0]) in {SIGNED, ENVELOPED, ENCRYPTED} else None
    if tags[:1] == (_ENUMERATED,):
        return "OCSP RESPONSE"
    if tags and set(tags) == {_INT}:
        return _integers_label([der.integer(field) for field in fields], claimed)
    return next((label for shape, label in _SHAPES if tags[: len(shape)] == shape), None)


def _content_kind(element: der.Element) -> str:
    inner = der.members(element, _SEQ)
    return der.object_id(inner[0]) if inner and inner[0].tag == _OID else ""


def _signed_label(signed: der.Element) -> str:
    """Tell certificates from requests (RFC 2986 4.1) and revocation lists (RFC 5280 5.1)."""
    tags = [field.tag for field in der.members(signed, _SEQ)]
    if tags[:1] == [_CONTEXT_0]:
        return CERTIFICATE
    if any(tag in _TIMES for tag in tags[2:4]):
        return "X509 CRL"
    return REQUEST if tags[:3] == [_INT, _SEQ, _SEQ] and tags[3:4] in ([], [_CONTEXT_0]) else CERTIFICATE


def _integers_label(values: list[int], claimed: str) -> str | None:
    """Recognise a SEQUENCE of INTEGERs (RFC 8017 A.1, PKCS#3 9, RFC 3279 2.3.2 and 2.3.3)."""
    count = len(values)
    if count >= _RSA_KEY_FIELDS:
        return "RSA PRIVATE KEY"
    if count == _DSA_KEY_FIELDS:
        return "DSA PRIVATE KEY"
    if count == 2:
        # both are a large number and a small one: a modulus is not a prime, and 2 is not an exponent
        is_modulus = values[1] > 2 and values[0].bit_length() >= _MIN_PRIME_BITS and claimed != _DH
        return "RSA PUBLIC KEY" if is_modulus and not is_probably_prime(values[0]) else _DH
    if 3 <= count <= 5:
        if values[2].bit_length() <= _MAX_EXPONENT_BITS:
            return _DH
        return "DSA PARAMETERS" if values[1].bit_length() < values[2].bit_length() else "X9.42 DH PARAMETERS"
    return None
