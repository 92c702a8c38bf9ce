"""Certificates with something odd, each with the words that say what is odd."""

from common.pki import der
from tests.odd import (
    AKI,
    BASIC,
    BMP,
    CN,
    EKU,
    EMAIL,
    FALSE,
    GENERALIZED,
    IA5,
    KEY_USAGE,
    NAMES,
    ONE,
    ORG,
    PRINTABLE,
    SAN,
    T61,
    TRUE,
    UNIVERSAL,
    UTC,
    attribute,
    certificate,
    dns,
    extension,
    name,
    rdn,
    seq,
    spki,
)
from tests.pki import make_rsa_key

RSA_KEY = make_rsa_key()
SHA256_RSA = "1.2.840.113549.1.1.11"
NULL = b"\x05\x00"


# what is odd -> the certificate, and words of the sentence that says so ("" where nothing is odd about it)
ODD = {
    "printable string with an asterisk": (
        certificate(subject=name("*.example.com", PRINTABLE)),
        "Its subject has a PrintableString with '*'.",
    ),
    "printable string with an underscore": (
        certificate(subject=name("a_b.example.com", PRINTABLE)),
        "PrintableString with '_'",
    ),
    "printable string with an ampersand": (
        certificate(subject=name("A & B", PRINTABLE)),
        "PrintableString with '&'",
    ),
    "printable string with an at sign": (
        certificate(subject=name("a@b.example", PRINTABLE)),
        "PrintableString with '@'",
    ),
    "issuer's printable string": (
        certificate(issuer=name("CA *", PRINTABLE)),
        "Its issuer's name has a PrintableString with '*'.",
    ),
    "latin-1 in an IA5 string": (
        certificate(subject=seq(rdn(attribute(EMAIL, b"\xfc@b.example", IA5)))),
        "an IA5String with the octet 0xFC",
    ),
    "teletex string": (certificate(subject=name(b"M\xfcnchen", T61)), ""),
    "BMP string": (certificate(subject=name("München".encode("utf-16-be"), BMP)), ""),
    "universal string": (certificate(subject=name("München".encode("utf-32-be"), UNIVERSAL)), ""),
    "NUL in a name": (certificate(subject=name(b"a.example\x00.evil.example", IA5)), "NUL character"),
    "empty value": (
        certificate(subject=seq(rdn(attribute(CN, "")), rdn(attribute(ORG, "x")))),
        "an empty value",
    ),
    "two attributes in one part": (
        certificate(subject=seq(rdn(attribute(CN, "b"), attribute(ORG, "x")))),
        "",
    ),
    "explicit critical false": (
        certificate(extensions=[extension(SAN, dns("odd.example.com"), FALSE)]),
        "Its subject alternative name says 'critical FALSE', which DER leaves out.",
    ),
    "critical as one": (
        certificate(extensions=[NAMES, extension(BASIC, seq(), ONE)]),
        "Its basic constraints writes TRUE as 0x01.",
    ),
    "explicit CA false": (
        certificate(extensions=[extension(BASIC, seq(FALSE), TRUE), NAMES]),
        "Its basic constraints says 'CA FALSE', which DER leaves out.",
    ),
    "CA as one": (
        certificate(extensions=[extension(BASIC, seq(ONE), TRUE), NAMES]),
        "Its basic constraints writes TRUE as 0x01.",
    ),
    "authority key identifier without serial": (
        certificate(
            extensions=[
                NAMES,
                extension(
                    AKI, seq(der.encode(0x80, b"\x01" * 20), der.encode(0xA1, der.encode(0xA4, name("x"))))
                ),
            ]
        ),
        "authority key identifier names an issuer without a serial number",
    ),
    "negative serial": (certificate(serial=b"\x02\x01\x80"), "Its serial number is negative."),
    "serial of zero": (certificate(serial=b"\x02\x01\x00"), "Its serial number is zero."),
    "long serial": (certificate(serial=der.encode(2, b"\x11" * 24)), "more than 20 octets"),
    "version 1 with extensions": (
        certificate(version=b""),
        "It has extensions, but says that its version is 1.",
    ),
    "version 2": (certificate(version=b"\xa0\x03\x02\x01\x01", extensions=None), "its version is 2"),
    "explicit version 1": (
        certificate(version=b"\xa0\x03\x02\x01\x00", extensions=None),
        "Strict parsers refuse",
    ),
    "time without seconds": (
        certificate(not_before=(UTC, "2601010000Z")),
        "Its notBefore is not written as it must be",
    ),
    "time with an offset": (
        certificate(not_after=(UTC, "280101000000+0200")),
        "Its notAfter is not written as it must be",
    ),
    "time with fractions": (certificate(not_before=(GENERALIZED, "20260101000000.5Z")), "fractions"),
    "generalized time before 2050": (
        certificate(not_before=(GENERALIZED, "20260101000000Z")),
        "GeneralizedTime before 2050",
    ),
    "year 9999": (certificate(not_after=(GENERALIZED, "99991231235959Z")), ""),
    "year 1950": (certificate(not_before=(UTC, "500101000000Z")), ""),
    "extension twice": (certificate(extensions=[NAMES, NAMES]), "occurs 2 times"),
    "no name in the alternative names": (
        certificate(extensions=[extension(SAN, seq())]),
        "has no name in it",
    ),
    "address of five octets": (
        certificate(
            extensions=[
                extension(SAN, seq(der.encode(0x82, b"a.example"), der.encode(0x87, b"\x0a\0\0\1\2")))
            ]
        ),
        "has an IP address of 5 octets",
    ),
    "host name that is not ASCII": (
        certificate(extensions=[extension(SAN, seq(der.encode(0x82, "münchen.example".encode())))]),
        "has a name that is not ASCII",
    ),
    "bytes after an extension's value": (
        certificate(extensions=[extension(SAN, dns("odd.example.com") + b"\x05\x00")]),
        "has bytes after its value",
    ),
    "empty key usage": (
        certificate(extensions=[NAMES, extension(KEY_USAGE, b"\x03\x01\x00", TRUE)]),
        "Its key usage allows nothing.",
    ),
    "key usage in an unusual length": (
        certificate(extensions=[NAMES, extension(KEY_USAGE, b"\x03\x02\x00\xa0", TRUE)]),
        "",
    ),
    "empty extended key usage": (
        certificate(extensions=[NAMES, extension(EKU, seq())]),
        "extended key usage allows nothing",
    ),
    "signature algorithm with a NULL too many": (
        certificate(outer=seq(der.encode_object_id("1.2.840.10045.4.3.2"), NULL)),
        "Strict parsers refuse",
    ),
    "RSA signature without its NULL": (
        certificate(outer=seq(der.encode_object_id(SHA256_RSA)), key=RSA_KEY),
        "",
    ),
    "RSA key without its NULL": (
        certificate(
            public_key=seq(
                seq(der.encode_object_id("1.2.840.113549.1.1.1")), der.sequence(spki(RSA_KEY))[1].raw
            )
        ),
        None,
    ),
    "another algorithm inside": (
        certificate(inner=seq(der.encode_object_id(SHA256_RSA), NULL)),
        "Its signature algorithm differs between inside and outside of what is signed.",
    ),
    "bytes after the certificate": (
        certificate(after=b"\n\n"),
        "2 bytes follow the certificate; they are left out.",
    ),
    "unreadable policies": (
        certificate(extensions=[NAMES, extension("2.5.29.32", seq(seq(b"\x02\x01\x05")))]),
        "Strict parsers refuse",
    ),
    "unknown kind of key": (
        certificate(public_key=seq(seq(der.encode_object_id("1.2.643.7.1.1.1.1")), b"\x03\x03\x00\x01\x02")),
        None,
    ),
    "key on the curve SM2": (
        certificate(
            public_key=spki().replace(
                bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"),
                bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d"),
            )
        ),
        None,
    ),
}
