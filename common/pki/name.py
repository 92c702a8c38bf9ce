"""When two distinguished names are the same name, and the short hash that OpenSSL gives one.

Decides by the canonical form that OpenSSL uses for both: strings as UTF-8, ASCII lower-cased, white space trimmed
and collapsed (a practical reading of RFC 5280 7.1). Works on DER, so a name that a strict parser refuses still
compares. Leaves showing a name to the certificate's decoder.
"""

import hashlib

from common.pki import der

_UTF8, _PRINTABLE, _T61, _IA5, _VISIBLE, _UNIVERSAL, _BMP = 0x0C, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E

# The string types that OpenSSL canonicalises, with the encoding of each; T.61 is read as Latin-1, as it does.
_CODECS = {
    _UTF8: "utf-8",
    _PRINTABLE: "latin-1",
    _T61: "latin-1",
    _IA5: "latin-1",
    _VISIBLE: "latin-1",
    _UNIVERSAL: "utf-32-be",
    _BMP: "utf-16-be",
}
_WHITE = b" \t\n\v\f\r"


def canonical_name(name: bytes) -> bytes:
    """Return the form in which equal names are equal bytes; a name that cannot be walked stands for itself."""
    try:
        return b"".join(_canonical_set(part) for part in der.sequence(name))
    except (der.DerError, UnicodeError):
        return name


def name_hash(canonical: bytes) -> str:
    """Return OpenSSL's `-subject_hash` of a canonical name: 8 lower-case hex digits."""
    # SHA-1 because that is what the hash is; it finds a name, it proves nothing
    found = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return found[3::-1].hex()


def _canonical_set(part: der.Element) -> bytes:
    pairs = []
    for pair in der.members(part, der.SET):
        kind, value = der.members(pair, der.SEQUENCE, 2)[:2]
        pairs.append(der.encode(der.SEQUENCE, kind.raw + _canonical_value(value)))
    return der.encode(der.SET, b"".join(sorted(pairs)))


def _canonical_value(value: der.Element) -> bytes:
    codec = _CODECS.get(value.tag)
    if codec is None:
        return value.raw
    text = value.content.decode(codec).encode()
    words = [word for word in text.translate(bytes.maketrans(_WHITE, b" " * len(_WHITE))).split(b" ") if word]
    return der.encode(_UTF8, b" ".join(words).lower())
