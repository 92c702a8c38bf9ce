"""The extensions of a certificate that Certcast uses, read one by one.

Decides the value of each. An unreadable one is unknown, never absent, and does not hide the others.
Invariant: reads everything that clients read, even if a strict parser refuses it, and reports its oddities.
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from common.pki import der
from common.pki.frame import RawExtension
from common.pki.generalname import NameKind
from common.pki.oids import extension_name

SUBJECT_KEY_ID, KEY_USAGE, ALT_NAMES, BASIC_CONSTRAINTS = "2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19"
NAME_CONSTRAINTS, AUTHORITY_KEY_ID, EXTENDED_KEY_USAGE = "2.5.29.30", "2.5.29.35", "2.5.29.37"

_FIELDS = {
    SUBJECT_KEY_ID: "key_id",
    KEY_USAGE: "key_usage",
    ALT_NAMES: "subject_alt_names",
    BASIC_CONSTRAINTS: "basic_constraints",
    NAME_CONSTRAINTS: "name_constraints",
    AUTHORITY_KEY_ID: "issuer_key_id",
    EXTENDED_KEY_USAGE: "extended_key_usage",
}

_HANDLED = frozenset(
    {
        KEY_USAGE,
        ALT_NAMES,
        BASIC_CONSTRAINTS,
        NAME_CONSTRAINTS,
        EXTENDED_KEY_USAGE,
        "2.5.29.31",
        "2.5.29.32",
        "2.5.29.33",
        "2.5.29.36",
        "2.5.29.54",
        "1.3.6.1.5.5.7.1.7",
        "1.3.6.1.5.5.7.1.8",
        "1.3.6.1.5.5.7.1.14",
        "2.16.840.1.113730.1.1",
    }
)
"""What OpenSSL's verifier handles (`X509_supported_extension`); it refuses a certificate with another critical one."""

_KINDS = frozenset(NameKind)
_KEY_ID = 0x80
_CERT_SIGN_BIT = 5
_LONGEST_PATH = 2**31 - 1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """What the extensions say; None where one is absent or unknown. `unknown` are fields, `oddities` sentences.

    `plain_names` are the alternative names that have a plain text (host names, addresses, URIs, email addresses), in order.
    `may_sign` is the key usage's word on signing certificates. `present` are the identifiers of all extensions.
    """

    present: frozenset[str] = frozenset()
    key_id: str | None = None
    issuer_key_id: str | None = None
    plain_names: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    is_ca: bool | None = None
    path_length: int | None = None
    may_sign: bool | None = None
    extended_usages: tuple[str, ...] | None = None
    unknown_critical: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()


def read_extensions(extensions: Sequence[RawExtension]) -> Extensions:
    """Read all. Never raises."""
    reader = _Reader(extensions)
    names = reader.read(ALT_NAMES, _alternatives, _Names())
    nothing: tuple[bool | None, int | None] = (None, None)
    is_ca, path_length = reader.read(BASIC_CONSTRAINTS, _basic_constraints, nothing)
    reader.read(NAME_CONSTRAINTS, _subtrees, None)
    return Extensions(
        present=frozenset(one.oid for one in extensions),
        key_id=reader.read(SUBJECT_KEY_ID, _subject_key_id, None),
        issuer_key_id=reader.read(AUTHORITY_KEY_ID, _authority_key_id, None),
        plain_names=tuple(names.plain),
        dns_names=tuple(names.dns),
        ip_addresses=tuple(names.ip),
        is_ca=is_ca,
        path_length=path_length,
        may_sign=reader.read(KEY_USAGE, _cert_sign, None),
        extended_usages=reader.read(EXTENDED_KEY_USAGE, _usages, None),
        unknown_critical=tuple(one.oid for one in extensions if one.critical and one.oid not in _HANDLED),
        unknown=tuple(reader.unknown),
        oddities=tuple(reader.oddities),
    )


class _Reader:
    """Reads one extension after the other, and remembers what could not be and what is odd."""

    def __init__(self, extensions: Sequence[RawExtension]) -> None:
        self.unknown: list[str] = []
        self.oddities: list[str] = []
        self._values: dict[str, list[bytes]] = {}
        for one in extensions:
            self._values.setdefault(one.oid, []).append(one.value)
        self.oddities.extend(
            f"Its {extension_name(oid)} occurs {len(values)} times."
            for oid, values in self._values.items()
            if len(values) > 1
        )

    def read(self, oid: str, reader: Callable[[bytes, list[str]], _T], neutral: _T) -> _T:
        values = self._values.get(oid)
        if not values:
            return neutral
        # of two that differ nobody can say which one a client takes
        if len(set(values)) == 1:
            odd: list[str] = []
            try:
                whole = der.first(values[0])
                if len(whole.raw) < len(values[0]):
                    odd.append("has bytes after its value")
                found = reader(values[0], odd)
            except der.DerError:
                pass
            else:
                self.oddities.extend(f"Its {extension_name(oid)} {each}." for each in odd)
                return found
        self.unknown.append(_FIELDS[oid])
        return neutral


@dataclass(slots=True)
class _Names:
    """Alternative names as plain text, by kind; kinds that have no plain text are left out."""

    plain: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    ip: list[str] = field(default_factory=list)


def _alternatives(value: bytes, odd: list[str]) -> _Names:
    names = _Names()
    found = der.sequence(value)
    if not found:
        odd.append("has no name in it")
    for one in found:
        if one.tag not in _KINDS:
            raise der.DerError("a kind of name that does not exist")
        if one.tag == NameKind.IP:
            address = _address(one.content)
            if address is None:
                odd.append(f"has an IP address of {len(one.content)} octets")
            else:
                names.ip.append(address)
                names.plain.append(address)
        elif one.tag in {NameKind.DNS, NameKind.MAIL, NameKind.URI}:
            text = _ia5(one.content, odd)
            names.plain.append(text)
            if one.tag == NameKind.DNS:
                names.dns.append(text)
    return names


def _ia5(content: bytes, odd: list[str]) -> str:
    if content.isascii():
        if b"\x00" in content:
            odd.append("has a name with a NUL character")
        return content.decode("ascii")
    odd.append("has a name that is not ASCII")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _address(content: bytes) -> str | None:
    return str(ipaddress.ip_address(content)) if len(content) in {4, 16} else None


def _basic_constraints(value: bytes, odd: list[str]) -> tuple[bool | None, int | None]:
    parts = list(der.sequence(value))
    is_ca = False
    if parts and parts[0].tag == der.BOOLEAN:
        flag = parts.pop(0)
        is_ca = der.boolean(flag)
        if not is_ca:
            odd.append("says 'CA FALSE', which DER leaves out")
        elif flag.content != b"\xff":
            odd.append(f"writes TRUE as 0x{flag.content.hex().upper()}")
    if len(parts) > 1:
        raise der.DerError("too many elements")
    limit = der.integer(parts[0]) if parts else None
    if limit is not None and limit < 0:
        raise der.DerError("a negative path length")
    # a longer path than any can be is not a limit; it must fit into what shows it
    return is_ca, min(limit, _LONGEST_PATH) if limit is not None else None


def _cert_sign(value: bytes, odd: list[str]) -> bool:
    _, octets = der.bits(der.first(value))
    if not any(octets):
        odd.append("allows nothing")
    return bool(octets) and bool(octets[0] & (0x80 >> _CERT_SIGN_BIT))


def _usages(value: bytes, odd: list[str]) -> tuple[str, ...]:
    found = tuple(der.object_id(one) for one in der.sequence(value))
    if not found:
        odd.append("allows nothing")
    return found


def _subject_key_id(value: bytes, _: list[str]) -> str:
    found = der.first(value)
    if found.tag != der.OCTET_STRING:
        raise der.DerError("another type was expected")
    return _colon_hex(found.content)


def _authority_key_id(value: bytes, odd: list[str]) -> str | None:
    parts: Mapping[int, bytes] = {part.tag: part.content for part in der.sequence(value)}
    if (0xA1 in parts) != (0x82 in parts):
        odd.append(
            "names an issuer without a serial number"
            if 0xA1 in parts
            else "has a serial number without an issuer"
        )
    return _colon_hex(parts[_KEY_ID]) if parts.get(_KEY_ID) else None


def _subtrees(value: bytes, _: list[str]) -> None:
    """Check the frame; `constraints` reads what stands in it."""
    for group in der.sequence(value):
        for subtree in der.children(group.content):
            der.members(subtree, der.SEQUENCE, 1)


def _colon_hex(data: bytes) -> str:
    return data.hex(":").upper()
