"""Certificates, decoded once, so that displaying one later cannot fail.

Decides the value of each field. Leaves judging them to `manager.pki` (`judge.status`, `judge.lint`, `chain`). Reads the
DER itself, part by part, as clients do, even if the library's strict parser refuses the whole certificate. Invariant:
`decode` raises only for bytes without the frame of a certificate. A field that cannot be decoded has a neutral value
and its name in `undecodable`: unknown, never absent. URLs inside a certificate are never fetched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.errors import PkiError, Reason
from common.ids import Fingerprint, fingerprint_of
from common.pki import der as asn1
from common.pki.extensions import ALT_NAMES, BASIC_CONSTRAINTS, NAME_CONSTRAINTS, Extensions, read_extensions
from common.pki.frame import EARLY_GENERALIZED, Frame, read_frame, read_time
from common.pki.name import Name, canonical_name, name_hash, name_or_placeholder, read_name
from common.pki.pem import pem_of
from common.pki.public_key import PublicKey, read_public_key
from common.pki.signature import DECODING_ERRORS, SignatureAlgorithm, despite_warnings, read_algorithm, verify

MAX_CERTIFICATE_BYTES = 64 * 1024
"""A certificate with hundreds of names is below 32 KB; browsers and OpenSSL's own limits are of this order."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate's fields. Equal if and only if the DER is equal.

    Times are unix seconds, None where they cannot be read: no date at all, and never one of 1970; `misdated` are those that are read here, and in a form
    (without seconds, with an offset) that OpenSSL and browsers refuse. `subject_name` is the Common Name, else the Organisation, else "". `raw_*` are RFC 4514, with names
    that people know for attributes. `public_key_id` identifies the key's value, `common.pki.public_key` has its kinds.
    `serial_no` is upper-case hex with an even number of digits. `key_id` are colon hex, as OpenSSL prints them.
    `subject_id` / `issuer_id` are canonical names (`common.pki.name`): equal bytes, same name.
    `server_auth_usage` and `client_auth_usage` say that the extended key usage is named (or anyExtendedKeyUsage);
    `path_length` is None where there is no limit; `may_sign` is False where a key usage forbids signing certificates;
    `unknown_critical` are extensions (dotted) that a verifier must refuse because it cannot know them.
    `extended_usages` is None where the extension is missing, which by RFC 5280 4.2.1.12 allows any use.
    `has_subject_alt_names` says that the extension is there, whatever could be read of it.
    `undecodable` are fields whose value is unknown (ask `knows`); `oddities` are sentences on what strict parsers refuse, and
    `opens_strictly` says that the library's opens it all the same.
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
    not_before_s: int | None
    not_after_s: int | None
    misdated: tuple[str, ...]
    key_id: str | None
    issuer_key_id: str | None
    version: int
    has_subject_alt_names: bool
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
    oddities: tuple[str, ...]
    opens_strictly: bool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<Certificate {self.label} {self.fingerprint[:16]}>"

    @property
    def label(self) -> str:
        """Its full name for messages: never empty."""
        return name_or_placeholder(self.raw_subject, *self.subject_alt_names)

    @property
    def display_name(self) -> str:
        """A short name for lists, titles and sentences: never empty."""
        return self.subject_name or self.label

    def knows(self, field: str) -> bool:
        """Whether a field's value is known. An absent field is known; one that cannot be decoded is not.

        The extensions' names are `key_id`, `issuer_key_id`, `key_usage`, `extended_key_usage`, `subject_alt_names`,
        `basic_constraints`, `name_constraints`; if their list cannot be walked, none of them is known.
        """
        return field not in self.undecodable and not (
            field in _OF_EXTENSIONS and "extensions" in self.undecodable
        )

    @property
    def may_be_trusted(self) -> bool:
        """Whether it can be a trusted CA: a CA, or a peer's self-signed certificate, an anchor only for itself."""
        return self.is_ca or self.is_self_signed

    @property
    def subject_hash(self) -> str:
        """What `openssl x509 -subject_hash` prints."""
        return name_hash(self.subject_id)

    @property
    def issuer_hash(self) -> str:
        """What `openssl x509 -issuer_hash` prints."""
        return name_hash(self.issuer_id)


_OF_EXTENSIONS = frozenset(
    {
        "key_id",
        "issuer_key_id",
        "key_usage",
        "extended_key_usage",
        "subject_alt_names",
        "basic_constraints",
        "name_constraints",
    }
)


def decode(data: bytes) -> Certificate:
    """Decode one DER certificate. Raises PkiError PARSE if it is not one, TOO_BIG above 64 KiB."""
    frame = frame_of(data)
    fields = _Fields(list(frame.oddities))
    subject, issuer = _names(frame, fields)
    key = _public_key(frame, fields)
    extensions = _extensions(frame, fields)
    subject_id, issuer_id = canonical_name(frame.subject), canonical_name(frame.issuer)
    self_signed = subject_id == issuer_id and _signs_itself(frame, key, extensions)
    usages = extensions.extended_usages
    not_before_s, not_after_s = (
        fields.time("not_before", frame.not_before),
        fields.time("not_after", frame.not_after),
    )
    hash_name = _signature_hash(frame, fields)
    opens = _opens_strictly(frame.raw)
    if not opens and not fields.oddities and not fields.failed and not extensions.unknown:
        fields.note("Strict parsers refuse how it is encoded.")
    return Certificate(
        der=frame.raw,
        pem=pem_of(frame.raw),
        fingerprint=fingerprint_of(frame.raw),
        subject_name=subject.short,
        issuer_name=issuer.short,
        raw_subject=subject.rfc4514,
        raw_issuer=issuer.rfc4514,
        subject_id=subject_id,
        issuer_id=issuer_id,
        serial_no=frame.serial_no,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        misdated=tuple(fields.misdated),
        key_id=extensions.key_id,
        issuer_key_id=extensions.issuer_key_id,
        version=frame.version,
        has_subject_alt_names=ALT_NAMES in extensions.present,
        subject_alt_names=extensions.plain_names,
        dns_names=extensions.dns_names,
        ip_addresses=extensions.ip_addresses,
        is_ca=_is_ca(frame, extensions, self_signed=self_signed),
        is_self_signed=self_signed,
        path_length=extensions.path_length,
        may_sign=extensions.may_sign is not False,
        has_name_constraints=NAME_CONSTRAINTS in extensions.present,
        unknown_critical=extensions.unknown_critical,
        public_key_id=key.key_id if key is not None else None,
        key_type=key.kind if key is not None else "",
        key_bits=key.bits if key is not None else 0,
        signature_hash=hash_name,
        extended_usages=usages,
        server_auth_usage=_names_usage(usages, ExtendedKeyUsageOID.SERVER_AUTH),
        client_auth_usage=_names_usage(usages, ExtendedKeyUsageOID.CLIENT_AUTH),
        undecodable=(*fields.failed, *extensions.unknown),
        oddities=tuple(dict.fromkeys(fields.oddities)),
        opens_strictly=opens,
    )


def load(data: bytes) -> x509.Certificate:
    """Load DER for the library. Raises PkiError UNSUPPORTED for what its strict parser refuses."""
    try:
        return despite_warnings(lambda: x509.load_der_x509_certificate(data))
    except DECODING_ERRORS as error:
        # the parser's words may quote what it read
        raise PkiError(
            "the certificate is encoded in a way that strict parsers refuse", reason=Reason.UNSUPPORTED
        ) from error


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether `issuer`'s key made the signature on `certificate`. An uncheckable signature counts as false."""
    frame, above = read_frame(certificate.der), read_frame(issuer.der)
    try:
        key = read_public_key(above.public_key)
    except asn1.DerError:
        return False
    return bool(_verify(frame, key))


_UNREAD: tuple[int | None, str] = (None, "")


class _Fields:
    """Reads fields, and remembers which could not be and what is odd."""

    def __init__(self, oddities: list[str]) -> None:
        self.failed: list[str] = []
        self.misdated: list[str] = []
        self.oddities = oddities

    def read(self, name: str, reader: Callable[[], _T], neutral: _T) -> _T:
        try:
            return reader()
        except DECODING_ERRORS:
            self.failed.append(name)
            return neutral

    def time(self, name: str, element: asn1.Element) -> int | None:
        seconds, odd = self.read(name, lambda: read_time(element), _UNREAD)
        if odd:
            self.misdated += [name] if odd != EARLY_GENERALIZED else []
            self.note(
                f"Its {name.replace('_b', 'B').replace('_a', 'A')} is not written as it must be: {odd}."
            )
        return seconds

    def note(self, *oddities: str) -> None:
        self.oddities.extend(oddities)


def frame_of(data: bytes) -> Frame:
    """Return the parts of one DER certificate, without reading what is in them. Raises PkiError as `decode` does."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise PkiError(f"the certificate is larger than {MAX_CERTIFICATE_BYTES} bytes", reason=Reason.TOO_BIG)
    try:
        return read_frame(data)
    except asn1.DerError as error:
        raise PkiError("the block is not an X.509 certificate") from error


def _names(frame: Frame, fields: _Fields) -> tuple[Name, Name]:
    """Return the subject and the issuer; what is odd of both is noted once where they are the same."""
    subject = fields.read("subject", lambda: read_name(frame.subject), Name())
    issuer = fields.read("issuer", lambda: read_name(frame.issuer), Name())
    fields.note(*(f"Its subject has {each}." for each in subject.oddities))
    fields.note(
        *(f"Its issuer's name has {each}." for each in issuer.oddities if frame.issuer != frame.subject)
    )
    return subject, issuer


def _public_key(frame: Frame, fields: _Fields) -> PublicKey | None:
    key = fields.read("public_key", lambda: read_public_key(frame.public_key), None)
    fields.note(*((key.oddity,) if key is not None and key.oddity else ()))
    if key is not None and key.loaded is None:
        fields.failed.append("public_key")
    return key


def _extensions(frame: Frame, fields: _Fields) -> Extensions:
    if frame.extensions is None:
        fields.failed.append("extensions")
        return Extensions()
    found = read_extensions(frame.extensions)
    fields.note(*found.oddities)
    return found


def _signature_hash(frame: Frame, fields: _Fields) -> str:
    unknown = SignatureAlgorithm(oid="", hash_name="")
    algorithm = fields.read("signature_hash", lambda: read_algorithm(frame.signature_algorithm), unknown)
    if algorithm.hash_name is None:
        fields.failed.append("signature_hash")
        fields.note(f"Its signature is of a kind that is not known here ({algorithm.name}).")
    return algorithm.hash_name or ""


def _verify(frame: Frame, key: PublicKey) -> bool | None:
    if frame.signature_algorithm != frame.signed_algorithm or frame.unused_bits:
        # RFC 5280 4.1.1.2; OpenSSL refuses these as well, and signatures that are not whole octets
        return False
    return verify(
        algorithm=frame.signature_algorithm, signed=frame.signed, signature=frame.signature, key=key.loaded
    )


def _signs_itself(frame: Frame, key: PublicKey | None, extensions: Extensions) -> bool:
    """Whether a certificate that names itself as its issuer is signed by its own key.

    Where that cannot be checked (an old or national algorithm), the key identifiers decide, as they do in OpenSSL (`EXFLAG_SS`).
    """
    signed = _verify(frame, key) if key is not None else None
    if signed is None:
        return extensions.issuer_key_id is None or extensions.issuer_key_id == extensions.key_id
    return signed


def _is_ca(frame: Frame, extensions: Extensions, *, self_signed: bool) -> bool:
    if extensions.is_ca is not None or BASIC_CONSTRAINTS in extensions.present:
        return bool(extensions.is_ca)
    # a version 1 root has no extensions to say so; OpenSSL's X509_check_ca takes it as a CA, and so do we
    return self_signed and frame.version == 1


def _names_usage(usages: tuple[str, ...] | None, wanted: x509.ObjectIdentifier) -> bool:
    return usages is not None and (
        wanted.dotted_string in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string in usages
    )


def _opens_strictly(data: bytes) -> bool:
    try:
        despite_warnings(lambda: x509.load_der_x509_certificate(data).extensions)
    except DECODING_ERRORS:
        return False
    return True
