"""Anatomy of a certificate: parts of its DER beyond the decoded fields, read from the bytes that are served.

Decides the value of a key usage, a curve's encoding, a TLS feature or a policy extension. Leaves judging them to `path`
and `manager.pki.judge.lint`. Invariant: never raises. Unreadable parts are listed in `unreadable` and never count as
absent.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from common.pki import der
from common.pki.certificate import Certificate

KEY_USAGE: Final = "2.5.29.15"
SUBJECT_KEY: Final = "2.5.29.14"
AUTHORITY_KEY: Final = "2.5.29.35"
BASIC_CONSTRAINTS: Final = "2.5.29.19"
POLICIES: Final = "2.5.29.32"
POLICY_MAPPINGS: Final = "2.5.29.33"
POLICY_CONSTRAINTS: Final = "2.5.29.36"
TLS_FEATURE: Final = "1.3.6.1.5.5.7.1.24"
NETSCAPE_TYPE: Final = "2.16.840.1.113730.1.1"
CRL_POINTS: Final = "2.5.29.31"

STATUS_REQUEST: Final = 5
"""The TLS feature by which a certificate demands a stapled OCSP response (RFC 7633, RFC 6066)."""

_KEY_USAGES: Final = (
    "digitalSignature",
    "contentCommitment",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
_NETSCAPE_TYPES: Final = (
    "sslClient",
    "sslServer",
    "mail",
    "objectSigning",
    "",
    "sslCA",
    "mailCA",
    "objectCA",
)
_EC_KEY: Final = "1.2.840.10045.2.1"
_RSA_KEY: Final = "1.2.840.113549.1.1.1"
_KEY, _ISSUER, _SERIAL, _DIRECTORY_NAME = 0x80, 0xA1, 0x82, 0xA4
_VERSION, _EXTENSIONS, _EXPLICIT_POLICY, _BOOLEAN = 0xA0, 0xA3, 0x80, 0x01
_TRUE: Final = b"\xff"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityKey:
    """An authority key identifier's data about the issuer's certificate (RFC 5280 4.2.1.1); None if missing.

    `key` is its subject key identifier, `issuer_der` the name of its own issuer, `serial` its serial number.
    """

    key: bytes | None = None
    issuer_der: bytes | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What was read. A set is None where its extension is missing; `unreadable` are the extensions (dotted) that could not be.

    `explicit_curve` says that the public key spells out its curve's parameters instead of naming it. `explicit_policy_after` is the
    number of certificates below that may do without a policy, None where none is demanded. `serial_octets` counts the encoded serial
    number. `extensions` are all that there are, dotted, and whether each is critical; `repeated` are those that occur more than
    once, which RFC 5280 4.2 forbids; `repeats_policy` says that of a policy (RFC 5280 4.2.1.4).
    """

    version: int = 3
    signature_algorithm: bytes = b""
    serial: int = 1
    serial_octets: int = 1
    subject_der: bytes = b""
    issuer_der: bytes = b""
    subject_key: bytes | None = None
    authority_key: AuthorityKey = AuthorityKey()
    issuer_is_empty: bool = False
    explicit_curve: bool = False
    rsa_exponent: int | None = None
    key_usages: frozenset[str] | None = None
    netscape_types: frozenset[str] | None = None
    tls_features: frozenset[int] = frozenset()
    policies: frozenset[str] | None = None
    repeats_policy: bool = False
    maps_policies: bool = False
    explicit_policy_after: int | None = None
    extensions: Mapping[str, bool]
    repeated: frozenset[str] = frozenset()
    unreadable: frozenset[str]


@lru_cache(maxsize=4096)
def anatomy(certificate: Certificate) -> Anatomy:
    """Read a certificate's parts. Cached, because a path is judged for every leaf below it."""
    try:
        frame = der.sequence(certificate.der, 2)
        body = der.members(frame[0], der.SEQUENCE, 6)
        version = 1
        if body[0].tag == _VERSION:
            version, body = der.integer(der.first(body[0].content)) + 1, body[1:]
        parts = _extensions(body)
    except der.DerError:
        return Anatomy(extensions={}, unreadable=frozenset({"frame"}))
    read = _Reader({oid: value for oid, (_, value) in parts.items()})
    policies = read.extension(POLICIES, _policies, None)
    # of interest only in that it can be read
    read.extension(CRL_POINTS, _walk_crl_points, None)
    return Anatomy(
        version=version,
        signature_algorithm=frame[1].raw,
        serial=read.try_("serial", lambda: der.integer(body[0]), 1),
        serial_octets=len(body[0].content),
        subject_der=body[4].raw,
        issuer_der=body[2].raw,
        subject_key=read.extension(SUBJECT_KEY, lambda value: der.first(value).content, None),
        authority_key=read.extension(AUTHORITY_KEY, _authority_key, AuthorityKey()),
        issuer_is_empty=not body[2].content,
        explicit_curve=read.try_("key", lambda: _has_explicit_curve(body[5]), False),
        rsa_exponent=read.try_("key", lambda: _rsa_exponent(body[5]), None),
        key_usages=read.extension(KEY_USAGE, lambda value: _bits(value, _KEY_USAGES), None),
        netscape_types=read.extension(NETSCAPE_TYPE, lambda value: _bits(value, _NETSCAPE_TYPES), None),
        tls_features=read.extension(TLS_FEATURE, _integers, frozenset()),
        policies=None if policies is None else frozenset(policies),
        repeats_policy=policies is not None and len(set(policies)) < len(policies),
        maps_policies=POLICY_MAPPINGS in parts,
        explicit_policy_after=read.extension(POLICY_CONSTRAINTS, _explicit_policy_after, None),
        extensions={oid: critical for oid, (critical, _) in parts.items()},
        repeated=_repeated(body),
        unreadable=frozenset(read.failed),
    )


class _Reader:
    """Reads parts one by one, and remembers which could not be."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self.failed: list[str] = []
        self._values = values

    def try_(self, name: str, reader: Callable[[], _T], neutral: _T) -> _T:
        try:
            return reader()
        except der.DerError:
            self.failed.append(name)
            return neutral

    def extension(self, oid: str, reader: Callable[[bytes], _T], neutral: _T) -> _T:
        value = self._values.get(oid)
        return neutral if value is None else self.try_(oid, lambda: reader(value), neutral)


def _extensions(body: tuple[der.Element, ...]) -> dict[str, tuple[bool, bytes]]:
    found: dict[str, tuple[bool, bytes]] = {}
    for part in body[6:]:
        if part.tag != _EXTENSIONS:
            continue
        for extension in der.sequence(part.content):
            fields = der.members(extension, der.SEQUENCE, 2)
            critical = fields[1].tag == _BOOLEAN and fields[1].content == _TRUE
            found[der.object_id(fields[0])] = (critical, fields[-1].content)
    return found


def _repeated(body: tuple[der.Element, ...]) -> frozenset[str]:
    counts = Counter(
        der.object_id(der.members(extension, der.SEQUENCE, 2)[0])
        for part in body[6:]
        if part.tag == _EXTENSIONS
        for extension in der.sequence(part.content)
    )
    return frozenset(oid for oid, count in counts.items() if count > 1)


def _has_explicit_curve(key_info: der.Element) -> bool:
    algorithm = der.members(der.members(key_info, der.SEQUENCE, 2)[0], der.SEQUENCE, 1)
    return der.object_id(algorithm[0]) == _EC_KEY and len(algorithm) > 1 and algorithm[1].tag == der.SEQUENCE


def _rsa_exponent(key_info: der.Element) -> int | None:
    fields = der.members(key_info, der.SEQUENCE, 2)
    if der.object_id(der.members(fields[0], der.SEQUENCE, 1)[0]) != _RSA_KEY:
        return None
    # the first octet of a BIT STRING counts its unused bits
    return der.integer(der.sequence(fields[1].content[1:], 2)[1])


def _bits(value: bytes, names: tuple[str, ...]) -> frozenset[str]:
    element = der.first(value)
    if element.tag != der.BIT_STRING or not element.content:
        raise der.DerError("a bit string was expected")
    octets = element.content[1:]
    return frozenset(
        name
        for place, name in enumerate(names)
        if name and place // 8 < len(octets) and octets[place // 8] & (0x80 >> place % 8)
    )


def _authority_key(value: bytes) -> AuthorityKey:
    parts = {part.tag: part for part in der.sequence(value)}
    names = der.children(parts[_ISSUER].content) if _ISSUER in parts else ()
    return AuthorityKey(
        key=parts[_KEY].content if _KEY in parts else None,
        issuer_der=next((each.content for each in names if each.tag == _DIRECTORY_NAME), None),
        serial=int.from_bytes(parts[_SERIAL].content, "big", signed=True) if _SERIAL in parts else None,
    )


def _integers(value: bytes) -> frozenset[int]:
    return frozenset(der.integer(each) for each in der.sequence(value))


def _policies(value: bytes) -> list[str]:
    return [der.object_id(der.members(each, der.SEQUENCE, 1)[0]) for each in der.sequence(value)]


def _walk_crl_points(value: bytes) -> None:
    for each in der.sequence(value):
        der.members(each, der.SEQUENCE, 0)


def _explicit_policy_after(value: bytes) -> int | None:
    for field in der.sequence(value):
        if field.tag == _EXPLICIT_POLICY:
            return int.from_bytes(field.content, "big")
    return None
