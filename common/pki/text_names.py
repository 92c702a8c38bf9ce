"""Names and values as OpenSSL prints them, escaped so that a certificate cannot forge lines of the text around it."""

import ipaddress

from cryptography import x509

_SHORT = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.42": "GN",
    "2.5.4.46": "dnQualifier",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}
_QUOTED = frozenset(',+"\\<>;')


def oneline(name: x509.Name) -> str:
    """Return a name as in `Subject: C = GB, O = "Example, Ltd"`."""
    return ", ".join(" + ".join(f"{_short(part)} = {_value(part)}" for part in group) for group in name.rdns)


def slashed(name: x509.Name) -> str:
    """Return a name as in `DirName:/C=GB/O=Example, Ltd`."""
    return "".join(f"/{_short(part)}={_escaped(_text(part), mark=chr(92) + 'x')}" for part in name)


def general_name(name: x509.GeneralName) -> str:
    """Return one alternative name with its kind."""
    match name:
        case x509.DNSName():
            return f"DNS:{printable(name.value)}"
        case x509.RFC822Name():
            return f"email:{printable(name.value)}"
        case x509.UniformResourceIdentifier():
            return f"URI:{printable(name.value)}"
        case x509.IPAddress():
            return f"IP Address:{_address(name.value)}"
        case x509.DirectoryName():
            return f"DirName:{slashed(name.value)}"
        case x509.RegisteredID():
            return f"Registered ID:{name.value.dotted_string}"
        case _:
            return "othername: <unsupported>"


def printable(text: str) -> str:
    """Return ASCII without control characters; the rest as its bytes in hex."""
    return _escaped(text, mark="\\x")


def dots(data: bytes) -> str:
    """Return bytes as OpenSSL shows an extension that it does not know: what is not printable as a dot."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in data)


def _short(part: x509.NameAttribute[str | bytes]) -> str:
    return _SHORT.get(part.oid.dotted_string, part.oid.dotted_string)


def _text(part: x509.NameAttribute[str | bytes]) -> str:
    return part.value if isinstance(part.value, str) else part.value.hex()


def _value(part: x509.NameAttribute[str | bytes]) -> str:
    text = _text(part)
    quoted = bool(_QUOTED & set(text)) or text[:1] in {" ", "#"} or text[-1:] == " "
    if quoted:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = _escaped(text, mark="\\")
    return f'"{escaped}"' if quoted else escaped


def _escaped(text: str, *, mark: str) -> str:
    return "".join(
        chr(octet) if 0x20 <= octet < 0x7F else f"{mark}{octet:02X}"
        for octet in text.encode(errors="surrogateescape")
    )


def _address(value: object) -> str:
    match value:
        case ipaddress.IPv6Address():
            return ":".join(f"{int(part, 16):X}" for part in value.exploded.split(":"))
        case ipaddress.IPv4Network() | ipaddress.IPv6Network():
            return f"{value.network_address}/{value.netmask}"
        case _:
            return str(value)
