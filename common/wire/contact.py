"""Contact: how a node reaches its manager, as announced by the manager and as reported by the node.

Decides which addresses are valid. Invariant: a list is kept whole or not at all, and an empty list is never
kept.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from common.errors import Reason

ADDRESSES_MAX: Final = 16
"""Of one manager, or of all managers that serve a fleet together; a join token carries as many in 4096 characters."""

ADDRESS_MAX_CHARS: Final = 300
"""A DNS name has 253 (RFC 1035 2.3.4), a port five."""

Address = Annotated[str, Meta(max_length=ADDRESS_MAX_CHARS)]

HOST_KEYS_MAX: Final = 4
"""The key in use, and one that is being rotated in or out."""

GO_ELSEWHERE: Final = Reason.STORAGE
"""The goodbye reason of a manager that may not serve nodes. Its nodes then dial the other managers first."""

KeyLine = Annotated[str, Meta(max_length=200, pattern=r"^ssh-ed25519 [A-Za-z0-9+/=]+\Z")]

_NAME = re.compile(r"[^\s\x00-\x20\x7f\[\]/@:%]{1,253}")


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """The manager's addresses (HOST:PORT) and host keys. An empty list leaves the known ones unchanged."""

    addresses: Annotated[list[Address], Meta(max_length=ADDRESSES_MAX)] = []
    host_keys: Annotated[list[KeyLine], Meta(max_length=HOST_KEYS_MAX)] = []


def is_address(text: str) -> bool:
    """Whether this is a HOST:PORT that can be dialled: a name or an IP address, and a port other than 0."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 65535):
        return False
    inner = host.removeprefix("[").removesuffix("]")
    if ":" not in inner:
        return inner == host and _NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(inner)
    except ValueError:
        return False
    return True


def can_be_kept(addresses: Sequence[str]) -> bool:
    """Whether an agent that keeps this list can still find its manager."""
    return 0 < len(addresses) <= ADDRESSES_MAX and all(
        len(each) <= ADDRESS_MAX_CHARS and is_address(each) for each in addresses
    )
