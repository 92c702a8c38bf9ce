"""Writes DER as NSS and Java write BER: indefinite lengths, and octet strings in pieces."""

from common.pki import der

CONSTRUCTED = 0x20
PIECE = 100


def as_ber(data: bytes) -> bytes:
    """Rewrite an element and everything in it that is framed visibly."""
    element = der.first(data)
    if element.tag & CONSTRUCTED:
        return _indefinite(element.tag, b"".join(as_ber(each.raw) for each in der.children(element.content)))
    if element.tag == der.OCTET_STRING and len(element.content) > PIECE:
        return _indefinite(element.tag | CONSTRUCTED, _pieces(element.content))
    return element.raw


def pfx_as_ber(data: bytes) -> bytes:
    """Rewrite a PKCS#12 file with its content as it is, since its digest is over that."""
    version, safe, *mac = der.sequence(data)
    kind, content = der.sequence(safe.raw)
    octets = der.first(content.content)
    inner = _indefinite(octets.tag | CONSTRUCTED, _pieces(octets.content))
    outer = _indefinite(der.SEQUENCE, kind.raw + _indefinite(content.tag, inner))
    return _indefinite(der.SEQUENCE, version.raw + outer + b"".join(each.raw for each in mac))


def _indefinite(tag: int, content: bytes) -> bytes:
    return bytes((tag, 0x80)) + content + b"\x00\x00"


def _pieces(content: bytes) -> bytes:
    parts = (content[at : at + PIECE] for at in range(0, len(content), PIECE))
    return b"".join(der.encode(der.OCTET_STRING, part) for part in parts)
