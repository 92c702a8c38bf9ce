"""One certificate, decoded once, so that nothing that shows it later can fail.

Decides what each field of a certificate reads as. Leaves to `status` and `chain` what that is worth.
Invariant: `decode` raises for bytes that are no certificate at all and for nothing else. A field that cannot be decoded
has a neutral value and its name in `undecodable` (of 2,237 odd but loadable certificates, 273 had one).
URLs inside a certificate are never looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import PkiError, Reason
from common.ids import Fingerprint, digest_of, fingerprint_of
from common.pki import der as asn1
from common.pki.name import canonical_name, name_hash
from common.pki.pem import pem_of
from common.pki.signature import DECODING_ERRORS, despite_warnings, is_signed_by

MAX_CERTIFICATE_BYTES = 64 * 1024
"""A certificate with hundreds of names is below 32 KB; browsers and OpenSSL's own limits are of this order."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=x509.ExtensionType)
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_VERSION = 0xA0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate's fields. Equal if and only if the DER is equal.

    Times are unix seconds. `subject_name` is the Common Name, else the Organisation, else "". `raw_*` are RFC 4514.
    `serial_no` is upper-case hex with an even number of digits. `key_id` are colon hex, as OpenSSL prints them.
    `subject_id` / `issuer_id` are canonical names (`common.pki.name`): equal bytes, same name.
    `server_auth_usage` and `client_auth_usage` say that the extended key usage is named (or anyExtendedKeyUsage);
    `path_length` is None where there is no limit; `may_sign` is False where a key usage forbids signing certificates;
    `unknown_critical` are extensions (dotted) that a verifier must refuse because it cannot know them.
    `extended_usages` is None where the extension is missing, which by RFC 5280 4.2.1.12 allows any use.
    """

    der: bytes
    pem: str
    fingerprint: Fingerprint
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    subject_id: bytes
    issuer_id: bytes
    serial_no: str
    not_before_s: int
    not_after_s: int
    key_id: str | None
    issuer_key_id: str | None
    subject_alt_names: tuple[str, ...]
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    is_ca: bool
    is_self_signed: bool
    path_length: int | None
    may_sign: bool
    has_name_constraints: bool
    unknown_critical: tuple[str, ...]
    public_key_id: str | None
    key_type: str
    key_bits: int
    signature_hash: str
    extended_usages: tuple[str, ...] | None
    server_auth_usage: bool
    client_auth_usage: bool
    undecodable: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<Certificate {self.label} {self.fingerprint[:16]}>"

    @property
    def label(self) -> str:
        """A name for messages: never empty."""
        return (
            self.raw_subject
            or (self.subject_alt_names[0] if self.subject_alt_names else "")
            or "(no subject)"
        )

    @property
    def subject_hash(self) -> str:
        """What `openssl x509 -subject_hash` prints."""
        return name_hash(self.subject_id)

    @property
    def issuer_hash(self) -> str:
        """What `openssl x509 -issuer_hash` prints."""
        return name_hash(self.issuer_id)


def decode(der: bytes) -> Certificate:
    """Decode one DER certificate. Raises PkiError PARSE if it is none, TOO_BIG above 64 KiB."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise PkiError(f"the certificate is larger than {MAX_CERTIFICATE_BYTES} bytes", reason=Reason.TOO_BIG)
    loaded = load(der)
    fields = _Fields()
    frame = fields.read(
        "frame", lambda: _frame(der), _Frame(serial_no="", issuer=b"", subject=b"", version=3)
    )
    extensions = fields.read("extensions", lambda: loaded.extensions, x509.Extensions([]))
    subject = fields.read("subject", lambda: loaded.subject, x509.Name([]))
    issuer = fields.read("issuer", lambda: loaded.issuer, x509.Name([]))
    key = fields.read("public_key", loaded.public_key, None)
    key_type, key_bits = fields.read("key_type", lambda: key_kind(key), ("", 0)) if key else ("", 0)
    names = _AltNames(fields, extensions)
    usages = _extended_usages(extensions)
    self_signed = frame.subject == frame.issuer and is_signed_by(loaded, loaded)
    return Certificate(
        der=der,
        pem=pem_of(der),
        fingerprint=fingerprint_of(der),
        subject_name=short_name(subject),
        issuer_name=short_name(issuer),
        raw_subject=fields.read("raw_subject", subject.rfc4514_string, ""),
        raw_issuer=fields.read("raw_issuer", issuer.rfc4514_string, ""),
        subject_id=frame.subject,
        issuer_id=frame.issuer,
        serial_no=frame.serial_no,
        not_before_s=fields.read("not_before", lambda: int(loaded.not_valid_before_utc.timestamp()), 0),
        not_after_s=fields.read("not_after", lambda: int(loaded.not_valid_after_utc.timestamp()), 0),
        key_id=_subject_key_id(extensions),
        issuer_key_id=_authority_key_id(extensions),
        subject_alt_names=names.all,
        dns_names=names.dns,
        ip_addresses=names.ip,
        # a version 1 root has no extensions to say so; OpenSSL's X509_check_ca takes it as a CA, and so do we
        is_ca=_is_ca(extensions) or (self_signed and frame.version == 1),
        is_self_signed=self_signed,
        path_length=_path_length(extensions),
        may_sign=_may_sign(extensions),
        has_name_constraints=extension(extensions, x509.NameConstraints) is not None,
        unknown_critical=_unknown_critical(extensions),
        public_key_id=fields.read("public_key_id", lambda: spki_id(key), None) if key else None,
        key_type=key_type,
        key_bits=key_bits,
        signature_hash=fields.read("signature_hash", lambda: _signature_hash(loaded), ""),
        extended_usages=usages,
        server_auth_usage=_names_usage(usages, ExtendedKeyUsageOID.SERVER_AUTH),
        client_auth_usage=_names_usage(usages, ExtendedKeyUsageOID.CLIENT_AUTH),
        undecodable=tuple(fields.failed),
    )


def load(der: bytes) -> x509.Certificate:
    """Load DER for the library. Raises PkiError PARSE."""
    try:
        return despite_warnings(lambda: x509.load_der_x509_certificate(der))
    except DECODING_ERRORS as error:
        # the parser's words may quote what it read
        raise PkiError("the block is not an X.509 certificate") from error


def spki_id(key: CertificatePublicKeyTypes | PublicKeyTypes) -> str:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo in DER, 64 hex digits."""
    return digest_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def key_kind(key: CertificatePublicKeyTypes | PublicKeyTypes) -> tuple[str, int]:
    """Name a public key's type ("RSA", "EC P-256", "Ed25519") and give its size in bits."""
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return f"EC {_CURVES.get(key.curve.name, key.curve.name)}", key.curve.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case _:
            return type(key).__name__.removesuffix("PublicKey"), 0


def short_name(name: x509.Name) -> str:
    """Return the last Common Name, else the last Organisation, else ""."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]
        if found and found[-1]:
            return found[-1]
    return ""


class _Fields:
    """Reads fields, and remembers which could not be."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def read(self, name: str, reader: Callable[[], _T], neutral: _T) -> _T:
        try:
            return despite_warnings(reader)
        except DECODING_ERRORS:
            self.failed.append(name)
            return neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What is read from the DER itself: the library refuses or warns about some serial numbers and names."""

    serial_no: str
    issuer: bytes
    subject: bytes
    version: int


def _frame(der: bytes) -> _Frame:
    body = asn1.members(asn1.sequence(der, 1)[0], asn1.SEQUENCE, 6)
    version = 1
    if body[0].tag == _VERSION:
        version = asn1.integer(asn1.first(body[0].content)) + 1
        body = body[1:]
    serial = asn1.integer(body[0])
    digits = f"{abs(serial):X}"
    return _Frame(
        serial_no=("-" if serial < 0 else "") + "0" * (len(digits) % 2) + digits,
        issuer=canonical_name(body[2].raw),
        subject=canonical_name(body[4].raw),
        version=version,
    )


class _AltNames:
    """Subject alternative names as plain text, by kind; kinds that have no plain text are left out."""

    def __init__(self, fields: _Fields, extensions: x509.Extensions) -> None:
        none: list[x509.GeneralName] = []
        names = fields.read("subject_alt_names", lambda: _alt_names(extensions), none)
        self.dns = tuple(name.value for name in names if isinstance(name, x509.DNSName))
        self.ip = tuple(str(name.value) for name in names if isinstance(name, x509.IPAddress))
        plain = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name)
        self.all = tuple(str(name.value) for name in names if isinstance(name, plain))


def _alt_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    found = extension(extensions, x509.SubjectAlternativeName)
    return list(found) if found else []


def extension(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    """Return the extension of this class, None if there is none."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _subject_key_id(extensions: x509.Extensions) -> str | None:
    found = extension(extensions, x509.SubjectKeyIdentifier)
    return _colon_hex(found.digest) if found else None


def _authority_key_id(extensions: x509.Extensions) -> str | None:
    found = extension(extensions, x509.AuthorityKeyIdentifier)
    return _colon_hex(found.key_identifier) if found and found.key_identifier else None


def _colon_hex(data: bytes) -> str:
    return data.hex(":").upper()


def _is_ca(extensions: x509.Extensions) -> bool:
    found = extension(extensions, x509.BasicConstraints)
    return found is not None and found.ca


def _path_length(extensions: x509.Extensions) -> int | None:
    found = extension(extensions, x509.BasicConstraints)
    return found.path_length if found else None


def _may_sign(extensions: x509.Extensions) -> bool:
    found = extension(extensions, x509.KeyUsage)
    return found is None or found.key_cert_sign


def _unknown_critical(extensions: x509.Extensions) -> tuple[str, ...]:
    return tuple(
        found.oid.dotted_string
        for found in extensions
        if found.critical and isinstance(found.value, x509.UnrecognizedExtension)
    )


def _extended_usages(extensions: x509.Extensions) -> tuple[str, ...] | None:
    found = extension(extensions, x509.ExtendedKeyUsage)
    return tuple(usage.dotted_string for usage in found) if found else None


def _names_usage(usages: tuple[str, ...] | None, wanted: x509.ObjectIdentifier) -> bool:
    return usages is not None and (
        wanted.dotted_string in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string in usages
    )


def _signature_hash(certificate: x509.Certificate) -> str:
    found = certificate.signature_hash_algorithm
    return found.name if found else ""
