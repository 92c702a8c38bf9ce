"""The text form of a certificate that users of `openssl x509 -text` expect.

Decides layout only; follows OpenSSL 3.0 line by line for what is common. Invariant: never raises; a part that cannot be decoded
says so, and nothing from the certificate reaches the text unescaped.
"""

import datetime as dt
from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.pki.certificate import Certificate, key_kind, load
from common.pki.signature import DECODING_ERRORS
from common.pki.text_extensions import extension_lines
from common.pki.text_names import oneline

UNDECODABLE = "(cannot be decoded)"

_SIGNATURES = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.113549.1.1.14": "sha224WithRSAEncryption",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}
_KEYS = {
    "1.2.840.113549.1.1.1": "rsaEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.10045.2.1": "id-ecPublicKey",
    "1.2.840.10040.4.1": "dsaEncryption",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}
_CURVES = {
    "secp256r1": ("prime256v1", "P-256"),
    "secp384r1": ("secp384r1", "P-384"),
    "secp521r1": ("secp521r1", "P-521"),
}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_KEY_OCTETS, _SIGNATURE_OCTETS = 15, 18
_LONG_MAX = 2**63


def text_form(certificate: Certificate) -> str:
    """Return the text, ending in a newline."""
    loaded = load(certificate.der)
    algorithm = _read(lambda: _SIGNATURES.get(*[loaded.signature_algorithm_oid.dotted_string] * 2))
    lines = [
        "Certificate:",
        "    Data:",
        f"        Version: {_read(lambda: _version(loaded))}",
        *_serial_lines(certificate.serial_no),
        f"        Signature Algorithm: {algorithm}",
        f"        Issuer: {_read(lambda: oneline(loaded.issuer))}",
        "        Validity",
        f"            Not Before: {_read(lambda: _moment(loaded.not_valid_before_utc))}",
        f"            Not After : {_read(lambda: _moment(loaded.not_valid_after_utc))}",
        f"        Subject: {_read(lambda: oneline(loaded.subject))}",
        "        Subject Public Key Info:",
        f"            Public Key Algorithm: {_read(lambda: _key_algorithm(loaded))}",
        *_indented(16, _read_lines(lambda: _key_lines(loaded.public_key()))),
    ]
    extensions = _read_lines(lambda: _all_extensions(loaded))
    if extensions:
        lines += ["        X509v3 extensions:", *_indented(12, extensions)]
    lines += [
        f"    Signature Algorithm: {algorithm}",
        "    Signature Value:",
        *_indented(8, _octet_lines(loaded.signature, _SIGNATURE_OCTETS)),
    ]
    return "\n".join(lines) + "\n"


def _read(reader: Callable[[], str]) -> str:
    try:
        return reader()
    except DECODING_ERRORS:
        return UNDECODABLE


def _read_lines(reader: Callable[[], list[str]]) -> list[str]:
    try:
        return reader()
    except DECODING_ERRORS:
        return [UNDECODABLE]


def _indented(width: int, lines: Iterable[str]) -> list[str]:
    return [" " * width + line for line in lines]


def _version(loaded: x509.Certificate) -> str:
    return f"{loaded.version.value + 1} ({loaded.version.value:#x})"


def _serial_lines(serial_no: str) -> list[str]:
    digits = serial_no.removeprefix("-")
    sign = "-" if serial_no.startswith("-") else ""
    value = int(digits or "0", 16)
    if value < _LONG_MAX:
        return [f"        Serial Number: {sign}{value} ({sign}{value:#x})"]
    negative = " (Negative)" if sign else ""
    return [f"        Serial Number:{negative}", " " * 12 + bytes.fromhex(digits).hex(":")]


def _moment(when: dt.datetime) -> str:
    # not strftime: its month names follow the process's locale
    return f"{_MONTHS[when.month - 1]} {when.day:2} {when:%H:%M:%S} {when.year} GMT"


def _key_algorithm(loaded: x509.Certificate) -> str:
    oid = loaded.public_key_algorithm_oid.dotted_string
    return _KEYS.get(oid, oid)


def _key_lines(key: CertificatePublicKeyTypes) -> list[str]:
    kind, bits = key_kind(key)
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            modulus = numbers.n.to_bytes(numbers.n.bit_length() // 8 + 1, "big")
            return [
                f"Public-Key: ({bits} bit)",
                "Modulus:",
                *_indented(4, _octet_lines(modulus, _KEY_OCTETS)),
                f"Exponent: {numbers.e} ({numbers.e:#x})",
            ]
        case ec.EllipticCurvePublicKey():
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            name, nist = _CURVES.get(key.curve.name, (key.curve.name, ""))
            return [
                f"Public-Key: ({bits} bit)",
                "pub:",
                *_indented(4, _octet_lines(point, _KEY_OCTETS)),
                f"ASN1 OID: {name}",
                *([f"NIST CURVE: {nist}"] if nist else []),
            ]
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return [f"{kind.upper()} Public-Key:", "pub:", *_indented(4, _octet_lines(raw, _KEY_OCTETS))]
        case _:
            return [f"Public-Key: ({bits} bit)"]


def _octet_lines(data: bytes, width: int) -> list[str]:
    starts = range(0, len(data), width)
    return [
        data[start : start + width].hex(":") + (":" if start + width < len(data) else "") for start in starts
    ]


def _all_extensions(loaded: x509.Certificate) -> list[str]:
    return [line for one in loaded.extensions for line in extension_lines(one)]
