"""Inputs that cost much: texts, JSON, forms and queries at the edge of every limit, and beyond."""

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from common.pki import der
from manager.http.bodies import BODY_MAX_BYTES
from manager.infinity_api.contract.description import Kind, Resource
from tests import odd, pki

TEXT_MAX = 1024 * 1024
"""What readers of certificates look at: longer texts are refused, but only there."""

LONG = BODY_MAX_BYTES * 3 // 4
STRANGE = "\u0390\ufb03\u1e9e\u0130\u202e" * 40_000
"""Characters that become three when their case is folded, and one that turns lines round."""

LISTED_MAX = 5000


@cache
def texts() -> Mapping[str, str]:
    """Return texts that claim to be certificates or keys."""
    _, issuer = pki.current_ca("Hostile")
    leaf = pki.current_leaf(issuer, ["hostile.example.com"])
    names = odd.dns(*(f"n{number}.example.com" for number in range(3000)))
    absurd = b"\x7f" + b"\xff" * 4000
    curve = odd.seq(
        der.encode(0x06, bytes.fromhex("2a8648ce3d0201")),
        odd.seq(
            der.encode(0x02, b"\x01"),
            odd.seq(der.encode(0x06, bytes.fromhex("2a8648ce3d0101")), der.encode(0x02, absurd)),
            odd.seq(der.encode(0x04, absurd), der.encode(0x04, absurd)),
            der.encode(0x04, b"\x04" + absurd * 2),
            der.encode(0x02, absurd),
        ),
    )
    deep = b""
    for _ in range(3000):
        deep = odd.seq(deep)
    return {
        "many certificates": leaf.certificate_pem * (TEXT_MAX // len(leaf.certificate_pem)),
        "2,000 certificates": leaf.certificate_pem * 2000,
        "thousands of names": _pem(odd.certificate(extensions=[names])),
        "RSA 16384": _pem(odd.certificate(public_key=_rsa(16384))),
        "an absurd curve": _pem(
            odd.certificate(public_key=odd.seq(curve, der.encode(0x03, b"\x00\x04" + absurd * 2)))
        ),
        "nested DER": _pem(odd.certificate(extensions=[odd.extension("1.2.3.4", deep)])),
        "no end": "-----BEGIN CERTIFICATE-----\n" * (TEXT_MAX // 28),
        "no end, too long": "-----BEGIN CERTIFICATE-----\n" * (LONG // 29),
        "base64 alone": "MIIB" * (LONG // 4),
        "broken ends": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END X-----\n" * (TEXT_MAX // 50),
        "strange characters": STRANGE,
        "dashes": "-" * TEXT_MAX,
        "hexadecimal": "de:ad:be:ef:" * (TEXT_MAX // 12),
        "a JWK": '{"kty":"RSA","d":"' + "A" * TEXT_MAX + '"}',
    }


SOME = ("many certificates", "no end, too long", "strange characters")


def _pem(data: bytes) -> str:
    body = base64.b64encode(data).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def _rsa(bits: int) -> bytes:
    modulus = ((1 << bits) - 159).to_bytes(bits // 8)
    numbers = odd.seq(der.encode(0x02, b"\x00" + modulus), der.encode(0x02, (65537).to_bytes(3)))
    algorithm = odd.seq(der.encode(0x06, bytes.fromhex("2a864886f70d010101")), der.encode(0x05, b""))
    return odd.seq(algorithm, der.encode(0x03, b"\x00" + numbers))


SHAPES: Mapping[str, bytes] = {
    "deep JSON": b'{"a":' * 100_000,
    "deep lists": b'{"nodes":' + b"[" * 100_000,
    "a huge number": b'{"ids":[' + b"9" * 4_000_000 + b"]}",
    "many values": b'{"ids":[' + b"1," * 2_000_000 + b"1]}",
    "many objects": b'{"objects":[' + b'{"a":[]},' * 500_000 + b"{}]}",
    "many names": b"{" + b",".join(b'"a%d":1' % number for number in range(50_000)) + b"}",
    "many escapes": b'{"name":"' + b"\\u0041" * 1_900_000 + b'"}',
    "a text without an end": b'{"name":"' + b'\\"' * 4_000_000,
    "no text at all": b"\xff" * 1_000_000,
}
"""Bodies that are hostile whatever the route takes."""


def body_of(kind: type[Any], text: str) -> bytes:
    """Return JSON of a type with this text wherever a text may be, and lists as long as they may be."""
    return json.dumps(_value(msgspec.inspect.type_info(kind), text)).encode()[:BODY_MAX_BYTES]


def _value(kind: msgspec.inspect.Type, text: str) -> Any:
    match kind:
        case msgspec.inspect.StructType():
            return {each.encode_name: _value(each.type, text) for each in kind.fields}
        case msgspec.inspect.ListType():
            most = min(kind.max_length or LISTED_MAX, LISTED_MAX)
            # texts in lists are names, which are short
            return [_value(kind.item_type, f"n{number}") for number in range(most)]
        case msgspec.inspect.UnionType():
            return _value(kind.types[0], text)
        case msgspec.inspect.IntType():
            return 1
        case msgspec.inspect.BoolType():
            return False
        case msgspec.inspect.EnumType():
            return next(iter(kind.cls)).value
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.BytesType():
            return base64.b64encode(text.encode()[: 1024 * 1024]).decode() if len(text) > 10 else "AAAA"
        case _:
            return text[:255] if getattr(kind, "max_length", None) else text


def object_of(resource: Resource, text: str) -> bytes:
    """Return JSON for the management API with this text in every text."""
    return json.dumps(
        {each.name: text if each.kind is Kind.STRING else 1 for each in resource.writable}
    ).encode()[:BODY_MAX_BYTES]


def takes_certificates(resource: Resource) -> bool:
    """Whether bodies of a resource hold certificates."""
    return "certificate" in resource.name


def queries_of(resource: Resource) -> Iterator[str]:
    """Return queries of a list of the management API."""
    names = [each.name for each in resource.fields]
    yield "limit=0"
    if not takes_certificates(resource):
        # what follows is read by the same code for all
        return
    yield "&".join(f"order_by={name}" for name in (names * 700)[:700])
    for lookup in ("icontains", "iregex", "in", "range"):
        yield "&".join(f"{name}__{lookup}={quote(STRANGE[:20])}" for name in names * 20)[:12_000]
    yield "&".join(f"{name}__regex={quote('(a|b?)*c{1,40}')}" for name in names * 20)[:12_000]
    yield f"limit=0&id__in={','.join(str(number) for number in range(3000))}"


QUERIES = (
    "",
    "limit=10000&search=example&order=-status",
    "limit=999999999&offset=999999999&page=1",
    "&".join([f"search={quote(STRANGE[:200])}&node=n1", *(f"id={number}" for number in range(1000))]),
)

FIELDS = (
    "certificate",
    "private_key",
    "parameters",
    "pasted",
    "public_key",
    "alt_names",
    "subject",
    "names",
    "addresses",
)


def form_of(csrf: str, text: str) -> bytes:
    """Return a form with this text in every text that pages ask for, the first one as long as it may be."""
    pairs = [("csrf", csrf), ("slot", "server"), ("name", "n7"), ("preview", "1"), ("kind", "upload")]
    pairs += [(name, text[: TEXT_MAX // 2 if name == FIELDS[0] else 20_000]) for name in FIELDS]
    return urlencode(pairs).encode()[:BODY_MAX_BYTES]


def ticked(csrf: str) -> bytes:
    """Return a form in which all is ticked and named."""
    pairs = [("csrf", csrf)]
    pairs += [("id", str(number)) for number in range(LISTED_MAX)]
    pairs += [("node", f"n{number}") for number in range(LISTED_MAX)]
    pairs.append(("node_names", " ".join(f"n{number}" for number in range(10 * LISTED_MAX))))
    return urlencode(pairs).encode()
