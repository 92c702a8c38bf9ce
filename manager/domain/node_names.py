"""Names and addresses of nodes: which are valid, and which address is a node's own.

Pure. Accepts only names that clients can look for in a certificate, so that a temporary one is useful.
Invariant: checked names and addresses have the form that certificates use.
"""

import ipaddress
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from common.errors import InvalidInputError, Reason
from common.ids import MANAGEMENT_NODE, NodeName, node_name
from common.text import xn_hint
from manager.domain.model import NodeDescription, NodeRecord

NAMES_MAX: Final = 32
"""Names or addresses of one node: a temporary certificate carries them all."""

_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*"
)


def findings_of_node(
    name: str, names: Sequence[str], addresses: Sequence[str]
) -> Sequence[InvalidInputError]:
    """Return all faults in a node's name, DNS names and addresses."""
    found: list[InvalidInputError] = []
    for check, values in ((node_name, [name]), (_dns_name, names), (_address, addresses)):
        for value in values:
            try:
                check(value)
            except InvalidInputError as error:
                found.append(error)
    for field_name, values in (("names", names), ("addresses", addresses)):
        if len(values) > NAMES_MAX:
            found.append(InvalidInputError(field_name, f"a node has at most {NAMES_MAX} {field_name}"))
    return found


def check_description(described: NodeDescription) -> NodeDescription:
    """Return a description with names and addresses in the form of certificates. Raises InvalidInputError."""
    for field_name, values in (("names", described.names), ("addresses", described.addresses)):
        if len(values) > NAMES_MAX:
            raise InvalidInputError(field_name, f"a node has at most {NAMES_MAX} {field_name}")
    return replace(
        described,
        names=tuple(dict.fromkeys(map(_dns_name, described.names))),
        addresses=tuple(dict.fromkeys(map(_address, described.addresses))),
    )


def check_own_address(addresses: Sequence[str], others: Iterable[NodeRecord]) -> None:
    """Refuse a first address that is another node's first one. Raises InvalidInputError CONFLICT.

    The first address identifies a node; further ones may be shared, such as a load balancer's. Loopback
    addresses and the manager's own are not compared: a manager may share a node's machine, and a trial may
    use one host.
    """
    if not addresses or ipaddress.ip_address(addresses[0]).is_loopback:
        return
    for other in others:
        if other.kind == "node" and other.addresses[:1] == tuple(addresses[:1]):
            raise InvalidInputError(
                "addresses",
                f"'{addresses[0]}' is already the address of node '{other.name}'; give each node its own address first, "
                "followed by any shared ones",
                reason=Reason.CONFLICT,
            )


def next_manager(given: int, taken: Container[NodeName]) -> tuple[int, NodeName]:
    """Return the number and node name of another manager: the first is `management`, the next ones are numbered.

    `given` is the highest number so far. Numbers are never reused, so that a removed machine that returns is
    not mistaken for another.
    """
    return next(
        (number, name)
        for number in count(given + 1)
        if (name := NodeName(f"{MANAGEMENT_NODE}-{number}")) not in taken
    )


def _dns_name(name: str) -> str:
    lowered = name.strip().lower().removesuffix(".")
    if not _DNS_NAME.fullmatch(lowered):
        raise InvalidInputError(
            "names", f"'{lowered[:80]}' is not a DNS name (for example node1.example.com){xn_hint(lowered)}"
        )
    return lowered


def _address(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError as error:
        raise InvalidInputError(
            "addresses", f"'{address[:80]}' is not an IP address (for example 192.0.2.10 or 2001:db8::10)"
        ) from error
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        # RFC 4007 11.2: it numbers an interface of this one host
        message = (
            f"'{address[:80]}' has a zone index ('%{found.scope_id[:40]}'), which means nothing on another host; leave it "
            "out, or give an address that the node's clients can reach"
        )
        raise InvalidInputError("addresses", message)
    return str(found)
