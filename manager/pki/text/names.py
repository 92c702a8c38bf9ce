"""Names and values as OpenSSL prints them, escaped so that a certificate cannot forge lines of the text around it."""

from common.pki import der
from common.pki.generalname import NameKind
from common.pki.name import Attribute, Name, read_name
from common.pki.oids import ATTRIBUTES
from manager.pki.text.oids import LONG_NAMES

_QUOTED = frozenset(",+<>;")
_STREET = "2.5.4.9"

_PLAIN: dict[int, str] = {NameKind.MAIL: "email", NameKind.DNS: "DNS", NameKind.URI: "URI"}
_OTHER_NAMES = {
    "1.3.6.1.5.5.7.8.5": "XmppAddr",
    "1.3.6.1.5.5.7.8.7": "SRVName",
    "1.3.6.1.5.5.7.8.8": "NAIRealm",
    "1.3.6.1.5.5.7.8.9": "SmtpUTF8Mailbox",
    "1.3.6.1.4.1.311.20.2.3": "UPN",
}
_UTF8, _IA5 = 0x0C, 0x16


def object_name(oid: str) -> str:
    """Return an identifier's long name, else its dotted form."""
    return LONG_NAMES.get(oid, oid)


def oneline(name: Name) -> str:
    """Return a name as in `Subject: C = GB, O = "Example, Ltd"`."""
    return ", ".join(" + ".join(f"{_short(one)} = {_value(one)}" for one in part) for part in name.parts)


def write_slashed(name: Name) -> str:
    """Return a name as in `DirName:/C=GB/O=Example, Ltd`; what separates its parts is escaped within them."""
    return "".join(
        f"{'/' if place == 0 else '+'}{_short(one)}={_separated(printable(one.text))}"
        for part in name.parts
        for place, one in enumerate(part)
    )


def alternative_name(name: der.Element) -> str:
    """Return one name of a list of alternative names with its kind."""
    if name.tag == NameKind.DIRECTORY:
        return f"DirName:{write_slashed(read_name(name.content))}"
    return general_name(name)


def general_name(name: der.Element) -> str:
    """Return one name with its kind, as it stands in other extensions."""
    if name.tag in _PLAIN:
        return f"{_PLAIN[name.tag]}:{_octets(name.content)}"
    match name.tag:
        case NameKind.DIRECTORY:
            return f"DirName:{oneline(read_name(name.content))}"
        case NameKind.IP:
            return f"IP Address:{address(name.content)}"
        case NameKind.REGISTERED:
            return f"Registered ID:{object_name(der.object_id(name._replace(tag=der.OBJECT_ID)))}"
        case NameKind.OTHER:
            return _other_name(name)
        case NameKind.X400:
            return "X400Name:<unsupported>"
        case NameKind.EDI:
            return "EdiPartyName:<unsupported>"
        case _:
            raise der.DerError("a kind of name that does not exist")


def subtree(name: der.Element) -> str:
    """Return the base of a name constraint's subtree."""
    if name.tag != NameKind.IP:
        return general_name(name)
    half = {8: 4, 32: 16}.get(len(name.content), len(name.content))
    return f"IP:{address(name.content[:half])}/{address(name.content[half:])}"


def address(content: bytes) -> str:
    """Return an IP address as OpenSSL writes it."""
    if len(content) == 4:
        return ".".join(str(octet) for octet in content)
    if len(content) == 16:
        return ":".join(f"{int.from_bytes(content[at : at + 2], 'big'):X}" for at in range(0, 16, 2))
    return f"<invalid length={len(content)}>"


def printable(text: str) -> str:
    """Return ASCII without control characters; the rest as its bytes in hex."""
    return _escaped(text, mark="\\x")


def dots(data: bytes) -> str:
    """Return bytes as OpenSSL shows an extension that it does not know: what is not printable as a dot."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in data)


def colons(data: bytes) -> str:
    """Return upper-case hex with colons."""
    return data.hex(":").upper()


def octet_lines(data: bytes, width: int, *, upper: bool = False) -> list[str]:
    """Return hex with colons, `width` octets a line; each line but the last ends in a colon."""
    starts = range(0, len(data), width)
    lines = [
        data[start : start + width].hex(":") + (":" if start + width < len(data) else "") for start in starts
    ]
    return [line.upper() for line in lines] if upper else lines


def _octets(content: bytes) -> str:
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02X}" for octet in content)


def _other_name(name: der.Element) -> str:
    kind, holder = der.children(name.content)[:2]
    oid, value = der.object_id(kind), der.first(holder.content)
    title = _OTHER_NAMES.get(oid) or object_name(oid)
    if value.tag in {_UTF8, _IA5}:
        return f"othername: {title}::{_octets(value.content)}"
    return f"othername: {title}::<unsupported>"


def _separated(text: str) -> str:
    return text.replace("+", "\\+").replace("/", "\\/")


def _short(attribute: Attribute) -> str:
    # RFC 4514 writes STREET, OpenSSL street
    return "street" if attribute.oid == _STREET else ATTRIBUTES.get(attribute.oid, attribute.oid)


def _value(attribute: Attribute) -> str:
    if not attribute.is_text:
        return "#" + attribute.text.upper()
    text = attribute.text
    quoted = bool(_QUOTED & set(text)) or text[:1] in {" ", "#"} or text[-1:] == " "
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = _escaped(text, mark="\\")
    return f'"{escaped}"' if quoted else escaped


def _escaped(text: str, *, mark: str) -> str:
    return "".join(
        chr(octet) if 0x20 <= octet < 0x7F else f"{mark}{octet:02X}"
        for octet in text.encode(errors="surrogatepass")
    )
