"""The frame of a certificate or request: its parts in the DER, before interpretation.

Decides where each part begins and ends. Leaves their meaning to `certificate` and `extensions`.
Invariant: the parts are slices of the input, so the bytes judged are the bytes served; forms that a strict parser
refuses (an explicit default, a long form of a length) are read and reported as oddities.
"""

import datetime as dt
import re
from dataclasses import dataclass

from common.pki import der
from common.pki.oids import extension_name

_VERSION, _ISSUER_ID, _SUBJECT_ID, _EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3
_ATTRIBUTES = 0xA0
_EXTENSION_REQUESTS = frozenset({"1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"})
"""RFC 2985 5.4.2, and Microsoft's own."""

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_MAX_SERIAL_OCTETS = 20
_MAX_VERSION_OCTETS = 4
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999: what a calendar can show."""

_TIME = re.compile(
    r"(?P<date>\d{6}|\d{8})(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?(?P<fraction>[.,]\d+)?(?P<zone>Z|[+-]\d{4})?"
)
_GENERALIZED_FROM_YEAR = 2050

EARLY_GENERALIZED = f"it is a GeneralizedTime before {_GENERALIZED_FROM_YEAR}"
"""What is odd about a moment that every client reads all the same; whatever else is odd makes OpenSSL and browsers refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawExtension:
    """One extension: its identifier (dotted), whether it is critical, and its value's DER."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A certificate's parts. `raw` is the certificate without what follows it.

    `signature_algorithm` and `signed_algorithm` are AlgorithmIdentifiers, outside and inside of what is signed. `extensions` is None
    where their list cannot be walked. `oddities` are sentences.
    """

    raw: bytes
    signed: bytes
    version: int
    serial_no: str
    signed_algorithm: bytes
    issuer: bytes
    not_before: der.Element
    not_after: der.Element
    subject: bytes
    public_key: bytes
    unique_ids: tuple[der.Element, ...]
    extensions: tuple[RawExtension, ...] | None
    signature_algorithm: bytes
    signature: bytes
    unused_bits: int
    oddities: tuple[str, ...]


def read_frame(data: bytes) -> Frame:
    """Find the parts of a certificate. Raises DerError if it does not have the frame of one."""
    whole = der.first(data)
    outer = der.members(whole, der.SEQUENCE, 3)
    fields = list(der.members(outer[0], der.SEQUENCE, 6))
    oddities: list[str] = []
    if len(data) > len(whole.raw):
        oddities.append(f"{len(data) - len(whole.raw)} bytes follow the certificate; they are left out.")
    version = 1
    if fields[0].tag == _VERSION:
        number = der.first(fields.pop(0).content)
        if len(number.content) > _MAX_VERSION_OCTETS:
            raise der.DerError("a version that cannot be one")
        version = der.integer(number) + 1
    if len(fields) < 6:
        raise der.DerError("an element is missing")
    serial, algorithm, issuer, validity, subject, public_key, *rest = fields
    for sequence in (algorithm, issuer, validity, subject, public_key, outer[1]):
        if sequence.tag != der.SEQUENCE:
            raise der.DerError("another type was expected")
    not_before, not_after = der.members(validity, der.SEQUENCE, 2)[:2]
    unused, signature = der.bits(outer[2])
    if unused:
        oddities.append(f"Its signature has {unused} unused bits.")
    oddities.extend(_version_oddities(version, rest))
    oddities.extend(_serial_oddities(der.integer(serial), len(serial.content)))
    if algorithm.raw != outer[1].raw:
        oddities.append("Its signature algorithm differs between inside and outside of what is signed.")
    return Frame(
        raw=whole.raw,
        signed=outer[0].raw,
        version=version,
        serial_no=_hex(der.integer(serial)),
        signed_algorithm=algorithm.raw,
        issuer=issuer.raw,
        not_before=not_before,
        not_after=not_after,
        subject=subject.raw,
        public_key=public_key.raw,
        unique_ids=tuple(each for each in rest if each.tag in {_ISSUER_ID, _SUBJECT_ID}),
        extensions=_extensions(rest, oddities),
        signature_algorithm=outer[1].raw,
        signature=signature,
        unused_bits=unused,
        oddities=tuple(oddities),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFrame:
    """The parts of a certificate signing request (RFC 2986 4). `extensions` are those that it asks for."""

    raw: bytes
    subject: bytes
    public_key: bytes
    extensions: tuple[RawExtension, ...]


def read_request_frame(data: bytes) -> RequestFrame:
    """Find the parts of a request. Raises DerError if it does not have the frame of one."""
    whole = der.first(data)
    outer = der.members(whole, der.SEQUENCE, 3)
    version, subject, public_key, *rest = der.members(outer[0], der.SEQUENCE, 3)
    der.integer(version)
    if subject.tag != der.SEQUENCE or public_key.tag != der.SEQUENCE:
        raise der.DerError("another type was expected")
    attributes = [one for part in rest if part.tag == _ATTRIBUTES for one in der.children(part.content)]
    return RequestFrame(
        raw=whole.raw,
        subject=subject.raw,
        public_key=public_key.raw,
        extensions=tuple(one for attribute in attributes for one in _requested(attribute)),
    )


def _requested(attribute: der.Element) -> tuple[RawExtension, ...]:
    kind, values = der.members(attribute, der.SEQUENCE, 2)[:2]
    if der.object_id(kind) not in _EXTENSION_REQUESTS:
        return ()
    lists = der.members(values, der.SET)
    return tuple(_extension(one, []) for each in lists for one in der.members(each, der.SEQUENCE))


def read_time(element: der.Element) -> tuple[int, str]:
    """Return a moment in unix seconds, and what is odd about how it is written, "" if nothing is. Raises DerError."""
    if element.tag not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise der.DerError("a time was expected")
    text = element.content.decode("latin-1")
    found = _TIME.fullmatch(text)
    short = element.tag == _UTC_TIME
    if found is None or len(found["date"]) != (6 if short else 8) or (short and found["fraction"]):
        raise der.DerError("a time cannot be read")
    year = int(found["date"][:-4])
    if short:
        # RFC 5280 4.1.2.5.1
        year += 1900 if year >= 50 else 2000
    try:
        moment = dt.datetime(
            year,
            int(found["date"][-4:-2]),
            int(found["date"][-2:]),
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"] or 0),
            tzinfo=_zone(found["zone"]),
        )
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError) as error:
        raise der.DerError("a time cannot be read") from error
    if not _FIRST_S <= seconds <= _LAST_S:
        raise der.DerError("a time cannot be shown")
    return seconds, _time_oddity(found, year, short=short)


def _zone(text: str | None) -> dt.timezone:
    if text is None or text == "Z":
        return dt.UTC
    offset = dt.timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def _time_oddity(found: re.Match[str], year: int, *, short: bool) -> str:
    if found["second"] is None:
        return "it has no seconds"
    if found["fraction"]:
        return "it has fractions of a second"
    if found["zone"] != "Z":
        return "it is not in UTC" if found["zone"] else "it names no time zone"
    if not short and year < _GENERALIZED_FROM_YEAR:
        return EARLY_GENERALIZED
    return ""


def _hex(serial: int) -> str:
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + "0" * (len(digits) % 2) + digits


def _version_oddities(version: int, rest: list[der.Element]) -> list[str]:
    if version not in {1, 2, 3}:
        return [f"It says that its version is {version}, which does not exist."]
    if version < 3 and any(each.tag == _EXTENSIONS for each in rest):
        return [f"It has extensions, but says that its version is {version}."]
    if version == 2:
        return ["It says that its version is 2, which nobody issues and strict parsers refuse."]
    return []


def _serial_oddities(serial: int, octets: int) -> list[str]:
    # RFC 5280 4.1.2.2
    if serial < 0:
        return ["Its serial number is negative."]
    if serial == 0:
        return ["Its serial number is zero."]
    if octets > _MAX_SERIAL_OCTETS:
        return [f"Its serial number has more than {_MAX_SERIAL_OCTETS} octets."]
    return []


def _extensions(rest: list[der.Element], oddities: list[str]) -> tuple[RawExtension, ...] | None:
    for each in rest:
        if each.tag == _EXTENSIONS:
            try:
                return tuple(_extension(one, oddities) for one in der.sequence(each.content))
            except der.DerError:
                return None
    return ()


def _extension(element: der.Element, oddities: list[str]) -> RawExtension:
    parts = der.members(element, der.SEQUENCE, 2)
    oid = der.object_id(parts[0])
    critical = False
    if parts[1].tag == der.BOOLEAN:
        critical = der.boolean(parts[1])
        if not critical:
            oddities.append(f"Its {extension_name(oid)} says 'critical FALSE', which DER leaves out.")
        elif parts[1].content != b"\xff":
            oddities.append(f"Its {extension_name(oid)} writes TRUE as 0x{parts[1].content.hex().upper()}.")
        parts = parts[1:]
    if len(parts) < 2 or parts[1].tag != der.OCTET_STRING:
        raise der.DerError("an extension has no value")
    return RawExtension(oid=oid, critical=critical, value=parts[1].content)
