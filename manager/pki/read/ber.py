"""BER, which some products write, converted to DER's framing.

Decides only about framing: lengths become definite and short, fragmented strings become whole. Values, and
their order in a SET, stay as they are. NSS (Firefox, Thunderbird) writes PKCS#12 like this, Java and older
Windows PKCS#7. Invariant: never recurses, nests at most `MAX_DEPTH`, and the output is no longer than the
input.
"""

from dataclasses import dataclass, field
from typing import Final

from common.pki import der

MAX_DEPTH: Final = 32
"""PKCS#12's deepest element is at 12."""

_CONSTRUCTED: Final = 0x20
_UNIVERSAL_STRINGS: Final = frozenset((der.BIT_STRING, der.OCTET_STRING, 0x0C, 0x13, 0x14, 0x16, 0x1A, 0x1E))
_HIGH_TAG: Final = 0x1F
_LONG: Final = 0x80
_END: Final = b"\x00\x00"
_MAX_LENGTH_OCTETS: Final = 8


@dataclass(slots=True)
class _Open:
    """A constructed element whose content is being read; `end` is None if its length is indefinite."""

    tag: int
    end: int | None
    parts: list[bytes] = field(default_factory=list)


def to_der(data: bytes) -> bytes:
    """Return the first element of `data` in DER's framing, with what follows it unchanged.

    Raises DerError.
    """
    stack: list[_Open] = []
    offset = 0
    while True:
        if stack and _is_over(stack[-1], data, offset):
            closed = stack.pop()
            offset += len(_END) if closed.end is None else 0
            made = _join(closed)
        else:
            tag, length, offset = _header(data, offset)
            limit = _limit(stack, data)
            if length is not None and offset + length > limit:
                raise der.DerError("cut short")
            if tag & _CONSTRUCTED:
                if len(stack) >= MAX_DEPTH:
                    raise der.DerError("nested too deeply")
                stack.append(_Open(tag, None if length is None else offset + length))
                continue
            if length is None:
                raise der.DerError("a length is wrong")
            made = der.encode(tag, data[offset : offset + length])
            offset += length
        if not stack:
            return made + data[offset:]
        stack[-1].parts.append(made)


def _is_over(opened: _Open, data: bytes, offset: int) -> bool:
    if opened.end is None:
        return data[offset : offset + len(_END)] == _END
    if offset > opened.end:
        raise der.DerError("a length is wrong")
    return offset == opened.end


def _limit(stack: list[_Open], data: bytes) -> int:
    return next((one.end for one in reversed(stack) if one.end is not None), len(data))


def _header(data: bytes, offset: int) -> tuple[int, int | None, int]:
    if offset + 2 > len(data):
        raise der.DerError("cut short")
    tag, length = data[offset], data[offset + 1]
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise der.DerError("a tag of this form is not used in X.509")
    offset += 2
    if length == _LONG:
        return tag, None, offset
    if length & _LONG:
        octets = length & 0x7F
        if octets > _MAX_LENGTH_OCTETS or offset + octets > len(data):
            raise der.DerError("a length is wrong")
        length = int.from_bytes(data[offset : offset + octets], "big")
        offset += octets
    return tag, length, offset


def _join(closed: _Open) -> bytes:
    if closed.tag & ~_CONSTRUCTED in _UNIVERSAL_STRINGS and closed.tag < 0x40:
        return _joined_string(closed)
    return der.encode(closed.tag, b"".join(closed.parts))


def _joined_string(closed: _Open) -> bytes:
    """Put the pieces of a string together.

    Those of a BIT STRING each begin with their count of unused bits.
    """
    tag = closed.tag & ~_CONSTRUCTED
    pieces = [der.first(part) for part in closed.parts]
    if any(piece.tag != tag for piece in pieces):
        raise der.DerError("a string's piece is of another type")
    if tag != der.BIT_STRING:
        return der.encode(tag, b"".join(piece.content for piece in pieces))
    if not pieces or any(not piece.content for piece in pieces):
        raise der.DerError("a bit string's piece is empty")
    unused = pieces[-1].content[:1]
    return der.encode(tag, unused + b"".join(piece.content[1:] for piece in pieces))
