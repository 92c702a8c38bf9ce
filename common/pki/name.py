"""Distinguished names: reading them, writing them, and telling when two are the same.

Decides by the canonical form that OpenSSL uses: strings as UTF-8, ASCII lower-cased, white space trimmed
and collapsed (a practical reading of RFC 5280 7.1). Works on DER, so it can read, show and compare a name that a strict
parser refuses. Invariant: any name with a valid frame is read, whatever its strings contain, and its oddities reported.
"""

import hashlib
import re
from dataclasses import dataclass

from cryptography import x509

from common.pki import der
from common.pki.oids import ATTRIBUTES

_UTF8, _PRINTABLE, _T61, _IA5, _VISIBLE, _UNIVERSAL, _BMP = 0x0C, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E
_NUMERIC = 0x12

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
_READ_ALSO = {_NUMERIC: "latin-1"}
_TYPES = {
    _UTF8: "UTF8String",
    _NUMERIC: "NumericString",
    _PRINTABLE: "PrintableString",
    _T61: "TeletexString",
    _IA5: "IA5String",
    _VISIBLE: "VisibleString",
    _UNIVERSAL: "UniversalString",
    _BMP: "BMPString",
}
_NOT_ALLOWED = {
    _NUMERIC: re.compile(rb"[^0-9 ]"),
    # RFC 5280 4.1.2.4, X.680 41.4
    _PRINTABLE: re.compile(rb"[^A-Za-z0-9 '()+,./:=?-]"),
    _IA5: re.compile(rb"[\x80-\xff]"),
    _VISIBLE: re.compile(rb"[^\x20-\x7e]"),
}
_WHITE = b" \t\n\v\f\r"
_COMMON_NAME, _ORGANIZATION = "2.5.4.3", "2.5.4.10"

_SPECIAL = re.compile(r'([\\"+,;<>])')


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name: its type (dotted) and its text; `is_text` False where `text` is its bytes in hex."""

    oid: str
    text: str
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name as it was read: its parts in order, each a set of attributes.

    `oddities` completes "The subject has ...".
    """

    parts: tuple[tuple[Attribute, ...], ...] = ()
    oddities: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The last Common Name, else the last Organisation, else ""."""
        for oid in (_COMMON_NAME, _ORGANIZATION):
            found = [each.text for part in self.parts for each in part if each.oid == oid]
            if found and found[-1]:
                return found[-1]
        return ""

    @property
    def rfc4514(self) -> str:
        """The name as RFC 4514 writes it, with the names of attributes that people know."""
        return ",".join(
            "+".join(f"{ATTRIBUTES.get(each.oid, each.oid)}={_escaped(each)}" for each in part)
            for part in reversed(self.parts)
        )


def read_name(raw: bytes) -> Name:
    """Read a Name in DER. Raises DerError if it does not have the frame of one."""
    oddities: list[str] = []
    parts = []
    for group in der.sequence(raw):
        pairs = der.members(group, der.SET)
        if not pairs:
            oddities.append("an empty part")
        parts.append(tuple(_attribute(pair, oddities) for pair in pairs))
    return Name(tuple(parts), tuple(dict.fromkeys(oddities)))


def library_name(raw: bytes) -> x509.Name:
    """Read a Name in DER into the library's type, odd strings included. Raises one of DECODING_ERRORS."""
    return x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(x509.ObjectIdentifier(each.oid), each.text, _validate=False)
                    for each in part
                ]
            )
            for part in read_name(raw).parts
        ]
    )


def parse_name(text: str) -> x509.Name:
    """Parse what `Name.rfc4514` writes. Raises ValueError."""
    return x509.Name.from_rfc4514_string(text, _OIDS)


def name_or_placeholder(*names: str) -> str:
    """Return the first name that is not empty, the best one first; "(no subject)" if all are."""
    return next(filter(None, names), "(no subject)")


def text_of(tag: int, content: bytes) -> tuple[str, str]:
    """Return the text of a string of any type, and what is odd about it ("a PrintableString with '*'"), "" if nothing is."""
    codec = _CODECS.get(tag) or _READ_ALSO.get(tag, "latin-1")
    kind = _TYPES.get(tag, "string of an unusual type")
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return content.decode("latin-1"), f"a {kind} that is not {codec.upper()}"
    wrong = _NOT_ALLOWED[tag].search(content) if tag in _NOT_ALLOWED else None
    if wrong:
        shown = (
            repr(wrong[0].decode("latin-1"))
            if wrong[0].isascii()
            else f"the octet 0x{wrong[0].hex().upper()}"
        )
        article = "an" if kind.startswith("I") else "a"
        return text, f"{article} {kind} with {shown}"
    if "\x00" in text:
        return text, f"a {kind} with a NUL character"
    return text, ""


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


def _attribute(pair: der.Element, oddities: list[str]) -> Attribute:
    kind, value = der.members(pair, der.SEQUENCE, 2)[:2]
    oid = der.object_id(kind)
    if value.tag not in _TYPES:
        return Attribute(oid, value.raw.hex(), is_text=False)
    text, odd = text_of(value.tag, value.content)
    if odd:
        oddities.append(odd)
    if not text:
        oddities.append("an empty value")
    return Attribute(oid, text)


def _escaped(attribute: Attribute) -> str:
    """Escape a value (RFC 4514 2.4)."""
    if not attribute.is_text:
        return "#" + attribute.text
    text = _SPECIAL.sub(r"\\\1", attribute.text).replace("\x00", "\\00")
    if text[:1] == "#" or (text[:1] == " " and len(text) > 1):
        text = "\\" + text
    return text[:-1] + "\\ " if text[-1:] == " " else text


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


_OIDS = {
    **{short: x509.ObjectIdentifier(oid) for oid, short in ATTRIBUTES.items()},
    # what people write as well
    "E": x509.ObjectIdentifier("1.2.840.113549.1.9.1"),
    "email": x509.ObjectIdentifier("1.2.840.113549.1.9.1"),
    "street": x509.ObjectIdentifier("2.5.4.9"),
    "S": x509.ObjectIdentifier("2.5.4.8"),
}
