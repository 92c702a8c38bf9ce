"""Names to order, and host names of CAs: their faults, in words. Pure.

Invariant: a CA can be asked about a name without a fault; whether it accepts the proof is up to the CA.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal

from common.text import printable, xn_hint

LABEL_MAX_CHARS: Final = 63
NAME_MAX_CHARS: Final = 253
"""RFC 1035 2.3.4, without the root's dot."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_TOP: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""Last label that makes a name an IPv4 address or invalid (RFC 1123 2.1, WHATWG URL 3.5)."""

_INTERNATIONAL: Final = "xn--"

_OWN: Final = "localhost"

_NEVER: Final = frozenset({"Cc", "Cs"})
"""Controls and surrogates.

Joiners are allowed in names (RFC 5892 A.1), and characters unknown to Python may be.
"""

_TOO_LONG: Final = f"has more than {NAME_MAX_CHARS} characters"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def kind_of(name: str) -> Literal["address", "wildcard", "host"] | None:
    """Return a name's kind of identifier; None if no CA can prove it."""
    if name_fault(name):
        return None
    if _address(name) is not None:
        return "address"
    return "wildcard" if name.startswith("*.") else "host"


def name_fault(name: str) -> str:
    """Return why no CA proves a name or address, as the rest of a sentence that begins with it.

    "" if nothing is wrong.
    """
    if (address := _address(name)) is not None:
        return "has a zone, which means something on a single machine" if _has_zone(address) else ""
    if not name.isascii():
        return _not_ascii(name)
    host = name.removeprefix("*.")
    if host != name and _address(host) is not None:
        return "is a wildcard of an IP address, for which no CA signs anything"
    if host.lower().split(".")[-1] == _OWN:
        return "leads each machine to itself (RFC 6761 6.3)"
    fault = host_fault(host)
    if not fault and len(name) > NAME_MAX_CHARS:
        return _TOO_LONG
    if not fault and "." not in host:
        return "is no host name with a domain, such as meet.example.com, nor an IP address"
    return fault


def host_fault(host: str, *, is_reached: bool = False) -> str:
    """Return why a host name is invalid, as the rest of a sentence that begins with it.

    "" if nothing is wrong.

    A host that `is_reached` rather than proven may contain "_", as some do.
    """
    if not host.isascii():
        return _not_ascii(host)
    if host.endswith("."):
        return "ends with a dot, which is to be left out"
    if len(host) > NAME_MAX_CHARS:
        return _TOO_LONG
    labels = host.lower().split(".")
    if "" in labels:
        return "has nothing before a dot" if host else "is empty"
    if _TOP.fullmatch(labels[-1]):
        return "ends in a number, as only an IPv4 address does, and is none"
    return next((fault for label in labels if (fault := _label_fault(label, is_reached=is_reached))), "")


def _not_ascii(name: str) -> str:
    return f"has characters that names in DNS do not have{xn_hint(name)}"


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _has_zone(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and bool(address.scope_id)


def _label_fault(label: str, *, is_reached: bool) -> str:
    if len(label) > LABEL_MAX_CHARS:
        return f"has a part of more than {LABEL_MAX_CHARS} characters"
    shown = f"has a part ('{printable(label)}')"
    if label.startswith(_INTERNATIONAL) and not _is_international(label.removeprefix(_INTERNATIONAL)):
        return f"{shown} that stands for no international name"
    if not _LABEL.fullmatch(label.replace("_", "x") if is_reached else label):
        return f"{shown} that has something other than letters, digits and hyphens, or begins or ends with a hyphen"
    return ""


def _is_international(encoded: str) -> bool:
    """Whether a label is Punycode (RFC 3492) that needs to be.

    The standards differ in the characters that they allow.
    """
    try:
        text = encoded.encode().decode("punycode")
    except UnicodeError:
        return False
    return not text.isascii() and not any(unicodedata.category(char) in _NEVER for char in text)


def is_ordered(name: str, names: Iterable[str]) -> bool:
    """Whether a CA may require this name for an order; a wildcard is proven by its parent name."""
    return name.removeprefix("*.") in {written(each.removeprefix("*.")) for each in names}


def written(name: str) -> str:
    """Return a name or address in the CAs' form: lower case, and one spelling per address."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()
