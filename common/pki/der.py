"""A reader of DER's frame only: tags, lengths, nesting.

Decides nothing about meaning. It exists because some questions must be answered before a library may spend time on
the bytes (the cost of a key derivation, the size of an RSA key), and because a name or a serial number that a
strict parser refuses must still be comparable.
Invariant: never reads outside its input, never recurses, and every failure is a DerError.
"""

from functools import lru_cache
from typing import NamedTuple

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x06
SEQUENCE, SET = 0x30, 0x31

MAX_ELEMENTS = 10_000
"""Elements read at one level: far above any certificate (a name of 100 parts, an extension list of 50)."""

_LONG_FORM = 0x80
_HIGH_TAG = 0x1F
_MAX_LENGTH_OCTETS = 4
_MAX_REMEMBERED_OCTETS = 64


class DerError(ValueError):
    """The bytes are not framed as DER, or do not have the shape that was asked for."""


class Element(NamedTuple):
    """One tag-length-value. `raw` is all of it, `content` its value."""

    tag: int
    content: bytes
    raw: bytes


def first(data: bytes) -> Element:
    """Return the first element of `data`; what follows it is left alone."""
    return _element(data, 0)


def children(content: bytes) -> tuple[Element, ...]:
    """Split a constructed value into its elements."""
    found: list[Element] = []
    offset = 0
    while offset < len(content):
        if len(found) >= MAX_ELEMENTS:
            raise DerError("too many elements")
        element = _element(content, offset)
        found.append(element)
        offset += len(element.raw)
    return tuple(found)


def sequence(data: bytes, at_least: int = 0) -> tuple[Element, ...]:
    """Return the elements of the SEQUENCE that `data` begins with; DerError if there are fewer than `at_least`."""
    return members(first(data), SEQUENCE, at_least)


def members(element: Element, tag: int, at_least: int = 0) -> tuple[Element, ...]:
    """Return what stands inside an element that must have this tag; DerError if there are fewer than `at_least`."""
    if element.tag != tag:
        raise DerError("another type was expected")
    found = children(element.content)
    if len(found) < at_least:
        raise DerError("an element is missing")
    return found


def integer(element: Element) -> int:
    """Return an INTEGER's value."""
    if element.tag != INTEGER or not element.content:
        raise DerError("an integer was expected")
    return int.from_bytes(element.content, "big", signed=True)


def boolean(element: Element) -> bool:
    """Return a BOOLEAN's value. Anything but zero is true, as in BER: some products write 0x01."""
    if element.tag != BOOLEAN or len(element.content) != 1:
        raise DerError("a boolean was expected")
    return element.content != b"\x00"


def bits(element: Element) -> tuple[int, bytes]:
    """Return how many bits of a BIT STRING's last octet are unused, and its octets."""
    if element.tag != BIT_STRING or not element.content or element.content[0] > 7:
        raise DerError("a bit string was expected")
    return element.content[0], element.content[1:]


def object_id(element: Element) -> str:
    """Return an OBJECT IDENTIFIER in dotted form."""
    if element.tag != OBJECT_ID or not element.content:
        raise DerError("an object identifier was expected")
    if len(element.content) > _MAX_REMEMBERED_OCTETS:
        return _dotted.__wrapped__(element.content)
    return _dotted(element.content)


@lru_cache(maxsize=1024)
def _dotted(content: bytes) -> str:
    """Write an identifier; the same few dozen occur in every certificate."""
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if value.bit_length() > 128:
            raise DerError("an object identifier is too long")
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    if not arcs:
        raise DerError("an object identifier is cut short")
    root = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (root, arcs[0] - 40 * root, *arcs[1:]))


def encode(tag: int, content: bytes) -> bytes:
    if len(content) < _LONG_FORM:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def encode_integer(value: int) -> bytes:
    """Frame a non-negative integer."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encode_object_id(dotted: str) -> bytes:
    """Frame an OBJECT IDENTIFIER given in dotted form."""
    first_arc, second_arc, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (first_arc * 40 + second_arc, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return encode(OBJECT_ID, bytes(content))


def _element(data: bytes, offset: int) -> Element:
    start = offset
    if offset + 2 > len(data):
        raise DerError("cut short")
    tag, length = data[offset], data[offset + 1]
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise DerError("a tag of this form is not used in X.509")
    offset += 2
    if length & _LONG_FORM:
        octets = length & 0x7F
        if not 0 < octets <= _MAX_LENGTH_OCTETS or offset + octets > len(data):
            raise DerError("a length is wrong")
        length = int.from_bytes(data[offset : offset + octets], "big")
        offset += octets
    if offset + length > len(data):
        raise DerError("cut short")
    return Element(tag=tag, content=data[offset : offset + length], raw=data[start : offset + length])
