"""Extensions of a certificate as OpenSSL prints them.

Kinds that have no format here are shown like unknown ones.

Invariant: never raises; a value that cannot be read is shown as its octets, as OpenSSL does.
"""

from collections.abc import Callable, Iterable, Sequence

from common.pki import der
from common.pki.frame import RawExtension
from common.pki.name import read_name
from manager.pki.text.names import alternative_name, colons, dots, general_name, object_name, oneline, subtree
from manager.pki.text.policies import policy_constraints, policy_lines, policy_mappings
from manager.pki.text.scts import timestamp_lines
from manager.pki.text.times import printed_time

_USAGES = (
    "Digital Signature",
    "Non Repudiation",
    "Key Encipherment",
    "Data Encipherment",
    "Key Agreement",
    "Certificate Sign",
    "CRL Sign",
    "Encipher Only",
    "Decipher Only",
)
_NETSCAPE_TYPES = (
    "SSL Client",
    "SSL Server",
    "S/MIME",
    "Object Signing",
    "Unused",
    "SSL CA",
    "S/MIME CA",
    "Object Signing CA",
)
_REASONS = (
    "Unused",
    "Key Compromise",
    "CA Compromise",
    "Affiliation Changed",
    "Superseded",
    "Cessation Of Operation",
    "Certificate Hold",
    "Privilege Withdrawn",
    "AA Compromise",
)
_FEATURES = {5: "status_request", 17: "status_request_v2"}
_SHORT_INTEGER_BITS = 128
_IA5, _FULL_NAME = 0x16, 0xA0


def extension_lines(found: RawExtension) -> list[str]:
    """Return an extension's title and its lines, indented by four below it."""
    title = f"{object_name(found.oid)}: {'critical' if found.critical else ''}"
    reader = _KINDS.get(found.oid)
    try:
        lines = reader(found.value) if reader is not None else [dots(found.value)]
    except (der.DerError, ValueError):
        lines = [dots(found.value)]
    return [title, *(f"    {line}" if line else "" for line in lines)]


def _joined(parts: Iterable[str]) -> list[str]:
    found = list(parts)
    return [", ".join(found)] if found else ["<EMPTY>", ""]


def _key_id(value: bytes) -> list[str]:
    found = der.first(value)
    if found.tag != der.OCTET_STRING:
        raise der.DerError("another type was expected")
    return [colons(found.content)]


def _authority(value: bytes) -> list[str]:
    parts = {part.tag: part.content for part in der.sequence(value)}
    alone = not parts.keys() & {0xA1, 0x82}
    lines = [("" if alone else "keyid:") + colons(parts[0x80])] if 0x80 in parts else []
    lines += [alternative_name(name) for name in der.children(parts.get(0xA1, b""))]
    if 0x82 in parts:
        lines.append("serial:" + colons(_unsigned(parts[0x82])))
    return lines or [dots(value)]


def _unsigned(content: bytes) -> bytes:
    """Return an INTEGER's content without the octet that only keeps it positive."""
    return content[1:] if len(content) > 1 and content[0] == 0 else content


def _basic_constraints(value: bytes) -> list[str]:
    parts = list(der.sequence(value))
    is_ca = bool(parts) and parts[0].tag == der.BOOLEAN and der.boolean(parts.pop(0))
    limit = f", pathlen:{_integer(parts[0])}" if parts else ""
    return [f"CA:{'TRUE' if is_ca else 'FALSE'}{limit}"]


def _named_bits(names: Sequence[str]) -> Callable[[bytes], list[str]]:
    def read(value: bytes) -> list[str]:
        found = _set_bits(der.bits(der.first(value))[1], names)
        return [", ".join(found)] if found else [dots(value)]

    return read


def _set_bits(octets: bytes, names: Sequence[str]) -> list[str]:
    return [
        name
        for place, name in enumerate(names)
        if place // 8 < len(octets) and octets[place // 8] & (0x80 >> place % 8)
    ]


def _extended(value: bytes) -> list[str]:
    found = [object_name(der.object_id(one)) for one in der.sequence(value)]
    return [", ".join(found)] if found else [dots(value)]


def _alternatives(value: bytes) -> list[str]:
    return _joined(alternative_name(name) for name in der.sequence(value))


def _access(value: bytes) -> list[str]:
    lines = []
    for one in der.sequence(value):
        method, place = der.members(one, der.SEQUENCE, 2)[:2]
        lines.append(f"{object_name(der.object_id(method))} - {alternative_name(place)}")
    return lines or ["<EMPTY>", ""]


def _constraints(value: bytes) -> list[str]:
    lines: list[str] = []
    for group in der.sequence(value):
        bases = [der.members(one, der.SEQUENCE, 1)[0] for one in der.children(group.content)]
        if bases:
            lines.append("Permitted:" if group.tag == 0xA0 else "Excluded:")
            lines.extend(f"  {subtree(base)}" for base in bases)
    return lines


def _points(value: bytes) -> list[str]:
    lines = [line for point in der.sequence(value) for line in _point(point)]
    return lines or [""]


def _point(point: der.Element) -> list[str]:
    lines: list[str] = []
    ends_in_blank = True
    for part in der.members(point, der.SEQUENCE):
        match part.tag:
            case 0xA0:
                name = der.first(part.content)
                ends_in_blank = name.tag != _FULL_NAME
                lines += _point_name(name)
            case 0x81:
                reasons = _set_bits(der.bits(part._replace(tag=der.BIT_STRING))[1], _REASONS)
                ends_in_blank = True
                lines += ["Reasons:", f"  {', '.join(reasons) or '<EMPTY>'}"]
            case 0xA2:
                ends_in_blank = False
                lines += ["CRL Issuer:", *(f"  {general_name(name)}" for name in der.children(part.content))]
            case _:
                raise der.DerError("a part that does not exist")
    return [*lines, ""] if ends_in_blank else lines


def _point_name(name: der.Element) -> list[str]:
    if name.tag == _FULL_NAME:
        return ["Full Name:", *(f"  {general_name(one)}" for one in der.children(name.content))]
    whole = der.encode(der.SEQUENCE, der.encode(der.SET, name.content))
    return ["Relative Name:", f"  {oneline(read_name(whole))}"]


def _features(value: bytes) -> list[str]:
    numbers = [der.integer(one) for one in der.sequence(value)]
    return _joined(_FEATURES.get(number, str(number)) for number in numbers)


def _number(value: bytes) -> list[str]:
    return [_integer(der.first(value))]


def _integer(element: der.Element) -> str:
    value = der.integer(element)
    if value.bit_length() < _SHORT_INTEGER_BITS:
        return str(value)
    digits = f"{value:X}"
    return f"0x{'0' * (len(digits) % 2)}{digits}"


def _text(value: bytes) -> list[str]:
    found = der.first(value)
    if found.tag != _IA5:
        raise der.DerError("another type was expected")
    return [dots(found.content)]


def _period(value: bytes) -> list[str]:
    titles = {0x80: "Not Before", 0x81: "Not After"}
    parts = [
        f"{titles[part.tag]}: {printed_time(part._replace(tag=0x18))}"
        for part in der.sequence(value)
        if part.tag in titles
    ]
    return [", ".join(parts)]


def _nothing(value: bytes) -> list[str]:
    der.first(value)
    return [""]


def _poison(value: bytes) -> list[str]:
    der.first(value)
    return ["NULL"]


_NETSCAPE = "2.16.840.1.113730.1."
_KINDS: dict[str, Callable[[bytes], list[str]]] = {
    "2.5.29.14": _key_id,
    "2.5.29.15": _named_bits(_USAGES),
    "2.5.29.16": _period,
    "2.5.29.17": _alternatives,
    "2.5.29.18": _alternatives,
    "2.5.29.19": _basic_constraints,
    "2.5.29.30": _constraints,
    "2.5.29.31": _points,
    "2.5.29.32": policy_lines,
    "2.5.29.33": policy_mappings,
    "2.5.29.35": _authority,
    "2.5.29.36": policy_constraints,
    "2.5.29.37": _extended,
    "2.5.29.46": _points,
    "2.5.29.54": _number,
    "1.3.6.1.5.5.7.1.1": _access,
    "1.3.6.1.5.5.7.1.11": _access,
    "1.3.6.1.5.5.7.1.24": _features,
    "1.3.6.1.5.5.7.48.1.5": _nothing,
    "1.3.6.1.4.1.11129.2.4.2": timestamp_lines,
    "1.3.6.1.4.1.11129.2.4.3": _poison,
    "1.3.6.1.4.1.11129.2.4.5": timestamp_lines,
    f"{_NETSCAPE}1": _named_bits(_NETSCAPE_TYPES),
    **{f"{_NETSCAPE}{number}": _text for number in (2, 3, 4, 7, 8, 12, 13)},
}
