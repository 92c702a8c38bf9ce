"""Some hundred shapes of extensions, names and keys, for comparing the text form with OpenSSL's."""

import hashlib
import itertools

from common.pki import der
from tests.odd import (
    AKI,
    BASIC,
    BMP,
    CN,
    EKU,
    EMAIL,
    FALSE,
    IA5,
    KEY_USAGE,
    ORG,
    PRINTABLE,
    SAN,
    SKI,
    T61,
    TRUE,
    UNIVERSAL,
    UTF8,
    attribute,
    extension,
    name,
    rdn,
    seq,
    tagged,
)

NETSCAPE = "2.16.840.1.113730.1."
OID = der.encode_object_id
NUMBERS = (0, 1, 7, 127, 128, 255, 256, 2**31, 2**63 - 1, 2**64, 2**127 - 1, 2**127, 2**128, 2**160)


UNLIKE = (b"\x14\x07M", b"\x1e\x0e", b"\x1c\x08", b"\x03\x02\x00\xa5")


def bits(*places, length=None):
    """Return a BIT STRING with these bits set, in DER without trailing zeros, or of a given number of octets."""
    octets = bytearray(length if length is not None else (max(places, default=-1) // 8 + 1))
    for place in places:
        octets[place // 8] |= 0x80 >> place % 8
    unused = 0 if length is not None or not places else 7 - max(places) % 8
    return der.encode(der.BIT_STRING, bytes([unused]) + bytes(octets))


def uri(text):
    return tagged(0x86, text.encode())


def directory(raw):
    return tagged(0xA4, raw)


def other(oid, value):
    return tagged(0xA0, OID(oid) + tagged(0xA0, value))


def names():
    """Return names of every string type, with characters that need quoting or escaping, and rare attributes."""
    values = [
        "plain",
        "a, b",
        'quo"ted',
        "back\\slash",
        "a+b",
        "<x>",
        "a;b",
        "#hash",
        " lead",
        "trail ",
        "ü",
        "日本",
        "a=b",
        "/x",
    ]
    found = [name(each) for each in values]
    found += [
        name("*.x", PRINTABLE),
        name(b"M\xfcnchen", T61),
        name("München".encode("utf-16-be"), BMP),
        name("M\U0001f600".encode("utf-32-be"), UNIVERSAL),
        name(b"a\x01b\x7f", IA5),
        seq(rdn(attribute(CN, "a"), attribute(ORG, "b"))),
        seq(rdn(attribute(ORG, "b")), rdn(attribute(CN, "a")), rdn(attribute(EMAIL, "a@b.c", IA5))),
        seq(rdn(seq(OID("2.5.4.45"), b"\x03\x02\x00\xa5"))),
        seq(rdn(attribute("1.2.3.4.5", "unknown"))),
        seq(),
    ]
    known = [
        "2.5.4.4",
        "2.5.4.5",
        "2.5.4.6",
        "2.5.4.9",
        "2.5.4.12",
        "2.5.4.15",
        "2.5.4.17",
        "2.5.4.42",
        "2.5.4.46",
        "2.5.4.97",
    ]
    known += [
        "0.9.2342.19200300.100.1.1",
        "0.9.2342.19200300.100.1.25",
        "0.9.2342.19200300.100.1.3",
        "2.5.4.65",
        "2.5.4.72",
    ]
    known += [f"1.3.6.1.4.1.311.60.2.1.{last}" for last in (1, 2, 3)] + [
        "1.2.840.113549.1.9.2",
        "1.2.643.100.1",
    ]
    return found + [seq(rdn(attribute(each, "x"))) for each in known]


def general_names():
    addresses = (b"\x0a\0\0\1", bytes.fromhex("20010db8000000000000000000000001"), bytes(16), b"\x0a\0\1")
    return [
        tagged(0x82, b"a.example"),
        tagged(0x81, b"a@b.example"),
        uri("https://x.example/?a=b,c"),
        *(tagged(0x87, each) for each in addresses),
        tagged(0x88, der.encode_object_id("1.2.3.4")[2:]),
        tagged(0x88, der.encode_object_id("1.3.6.1.5.5.7.3.1")[2:]),
        other("1.3.6.1.4.1.311.20.2.3", der.encode(UTF8, b"user@example.com")),
        other("1.3.6.1.5.5.7.8.5", der.encode(UTF8, b"xmpp.example")),
        other("1.3.6.1.5.5.7.8.7", der.encode(IA5, b"_x.example")),
        other("1.3.6.1.5.5.7.8.9", der.encode(UTF8, b"x@example.com")),
        other("1.2.3.4", der.encode(UTF8, b"text")),
        other("1.2.3.4", b"\x02\x01\x05"),
        tagged(0xA3, b""),
        # other string types are shown as UTF-8 here, and as their octets there
        *(directory(each) for each in names() if not any(odd in each for odd in UNLIKE)),
    ]


def timestamps(count, extensions=b""):
    """Return a list of certificate timestamps (RFC 6962 3.3)."""
    listed = b""
    for number in range(count):
        signature = hashlib.sha512(bytes([number])).digest()[: 60 + number]
        moment = (1_700_000_000_123 + number).to_bytes(8, "big")
        algorithm = (b"\x04\x03", b"\x04\x01")[number % 2]
        log = hashlib.sha256(bytes([number])).digest()
        body = b"\x00" + log + moment + len(extensions).to_bytes(2, "big") + extensions
        body += algorithm + len(signature).to_bytes(2, "big") + signature
        listed += len(body).to_bytes(2, "big") + body
    return der.encode(der.OCTET_STRING, len(listed).to_bytes(2, "big") + listed)


def policies():
    cps, notice = OID("1.3.6.1.5.5.7.2.1"), OID("1.3.6.1.5.5.7.2.2")
    text = der.encode(UTF8, b"Explicit")
    reference = [
        seq(der.encode(UTF8, b"Org"), seq(*(der.encode_integer(n) for n in range(1, count + 1))))
        for count in (1, 3)
    ]
    qualifiers = [
        [],
        [seq(cps, der.encode(IA5, b"http://cps.example/"))],
        [seq(notice, seq(text))],
        [seq(notice, seq(reference[0]))],
        [seq(notice, seq(reference[1], text))],
        [seq(notice, seq())],
        [seq(cps, der.encode(IA5, b"http://cps.example/")), seq(notice, seq(text))],
        [seq(OID("1.2.3.4"), b"\x05\x00")],
    ]
    kinds = ("1.2.3.4", "2.23.140.1.2.1", "2.5.29.32.0")
    single = [
        seq(OID(kind), *([seq(*each)] if each else [])) for kind, each in itertools.product(kinds, qualifiers)
    ]
    return [*(seq(each) for each in single), seq(*single[:3]), seq(*single[8:14])]


def points():
    full = tagged(0xA0, tagged(0xA0, uri("http://crl.example/a.crl")))
    two = tagged(0xA0, tagged(0xA0, uri("http://crl.example/a.crl") + uri("ldap://x/y")))
    relative = tagged(0xA0, tagged(0xA1, attribute(CN, "part") + attribute(ORG, "x")))
    reasons = tagged(0x81, bits(1, 2, 8)[2:])
    issuer = tagged(0xA2, directory(name("CRL issuer")))
    return [
        seq(*each)
        for each in (
            [seq(full)],
            [seq(two)],
            [seq(full), seq(two)],
            [seq(full, issuer)],
            [seq(two, issuer), seq(full)],
            [seq(issuer)],
            [seq(relative)],
            [seq(relative), seq(full)],
            [],
        )
    ] + [seq(seq(relative, reasons, issuer))]


def subtrees():
    bases = [
        tagged(0x82, b"example.com"),
        tagged(0x82, b".example.com"),
        tagged(0x81, b"@example.com"),
        tagged(0x87, b"\x0a\0\0\0\xff\0\0\0"),
        tagged(0x87, bytes.fromhex("20010db8") + bytes(12) + b"\xff\xff\xff\xff" + bytes(12)),
        tagged(0x87, b"\x0a\0\0"),
        uri("example.com"),
        directory(name("dir")),
        tagged(0x88, der.encode_object_id("1.2.3.4")[2:]),
    ]
    every = b"".join(seq(each) for each in bases)
    return [
        *(seq(tagged(0xA0, seq(each))) for each in [*bases, *(directory(one) for one in names())]),
        seq(tagged(0xA1, every)),
        seq(tagged(0xA0, every), tagged(0xA1, every)),
    ]


def extensions():
    """Return the shapes, each as one extension."""
    values = {
        SKI: [der.encode(der.OCTET_STRING, each) for each in (b"", b"\x01", bytes(range(20)), bytes(32))],
        KEY_USAGE: [
            bits(),
            bits(length=1),
            *(bits(place) for place in range(9)),
            bits(*range(9)),
            bits(0, 2, 5, 6, length=2),
        ],
        f"{NETSCAPE}1": [bits(), *(bits(place) for place in range(8)), bits(*range(8))],
        **{
            f"{NETSCAPE}{each}": [der.encode(IA5, b"https://x.example/"), b"\x02\x01\x01"]
            for each in (2, 3, 4, 7, 8, 12, 13)
        },
        BASIC: [
            seq(),
            seq(TRUE),
            seq(FALSE),
            *(seq(TRUE, der.encode_integer(each)) for each in NUMBERS),
            b"\x02\x01\x05",
        ],
        EKU: [
            seq(),
            *(seq(OID(f"1.3.6.1.5.5.7.3.{each}")) for each in range(1, 33)),
            seq(
                OID("2.5.29.37.0"),
                OID("1.3.6.1.4.1.311.10.3.4"),
                OID("1.3.6.1.4.1.311.20.2.2"),
                OID("1.2.3.4"),
            ),
            seq(OID("2.16.840.1.113730.4.1"), OID("1.3.6.1.4.1.311.10.3.3"), OID("1.3.6.1.5.2.3.4")),
        ],
        SAN: [seq(), *(seq(each) for each in general_names()), seq(*general_names()[:9])],
        "2.5.29.18": [seq(*general_names()[2:5])],
        "2.5.29.16": [
            seq(tagged(0x80, b"20260101000000Z")),
            seq(tagged(0x81, b"20270101000000Z")),
            seq(tagged(0x80, b"20260101000000Z"), tagged(0x81, b"20270101000000Z")),
        ],
        AKI: [
            seq(),
            seq(tagged(0x80, b"\x01" * 20)),
            seq(tagged(0xA1, directory(name("issuer"))), tagged(0x82, b"\x05")),
            seq(tagged(0x80, b"\x01"), tagged(0xA1, directory(name("issuer"))), tagged(0x82, b"\x00\xff")),
            seq(
                tagged(0x80, b"\x01"),
                tagged(0xA1, uri("http://x/") + directory(name("a"))),
                tagged(0x82, b"\x7f" * 20),
            ),
            seq(tagged(0x80, b"\x01"), tagged(0xA1, directory(name("issuer")))),
        ],
        "2.5.29.30": subtrees(),
        "2.5.29.31": points(),
        "2.5.29.46": points()[:2],
        "2.5.29.32": policies(),
        "2.5.29.33": [
            seq(seq(OID("1.2.3"), OID("1.2.4"))),
            seq(seq(OID("1.2.3"), OID("2.5.29.32.0")), seq(OID("1.2.5"), OID("1.2.6"))),
        ],
        "2.5.29.36": [
            seq(tagged(0x80, b"\x00")),
            seq(tagged(0x81, b"\x03")),
            seq(tagged(0x80, b"\x01"), tagged(0x81, b"\x02")),
        ],
        "2.5.29.54": [der.encode_integer(each) for each in NUMBERS],
        "1.3.6.1.5.5.7.1.1": [
            seq(
                *(seq(OID(f"1.3.6.1.5.5.7.48.{each}"), uri("http://x.example/")) for each in (1, 2, 3, 5, 9))
            ),
            seq(seq(OID("1.3.6.1.5.5.7.48.2"), directory(name("ca")))),
            seq(seq(OID("1.2.3.4"), tagged(0x82, b"x"))),
            seq(),
        ],
        "1.3.6.1.5.5.7.1.11": [seq(seq(OID("1.3.6.1.5.5.7.48.5"), uri("http://x.example/")))],
        "1.3.6.1.5.5.7.1.24": [
            seq(b"\x02\x01\x05"),
            seq(b"\x02\x01\x05", b"\x02\x01\x11"),
            seq(b"\x02\x01\x09"),
        ],
        "1.3.6.1.5.5.7.48.1.5": [b"\x05\x00"],
        "1.3.6.1.4.1.11129.2.4.2": [
            timestamps(1),
            timestamps(3),
            timestamps(2, b"\x01" * 20),
            b"\x04\x02\x00\x05",
            b"\x04\x00",
        ],
        "1.3.6.1.4.1.11129.2.4.3": [b"\x05\x00"],
        "1.3.6.1.4.1.311.20.2": [der.encode(BMP, "WebServer".encode("utf-16-be"))],
        "1.3.6.1.4.1.311.21.7": [seq(OID("1.3.6.1.4.1.311.21.8.1.2.3.4.5.6.7.8.9"), b"\x02\x01\x63")],
        "2.5.29.9": [seq(seq(OID("1.3.6.1.5.5.7.9.4"), der.encode(der.SET, der.encode(PRINTABLE, b"DE"))))],
        "1.2.3.4.5": [b"", b"\x0c\x05hello", bytes(range(14, 64)), b"\xff" * 3],
    }
    return [
        extension(oid, value, TRUE if place % 3 == 0 else b"")
        for oid, listed in values.items()
        for place, value in enumerate(listed)
    ]
