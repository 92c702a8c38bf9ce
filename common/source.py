"""Source of a request or connection: what counts as one stranger when strangers are counted.

Invariant: every cap and every count per address, on each port of both daemons, uses this one notion, so that an IPv6 host, which
has a /64 of addresses to itself (RFC 6177 2), counts once. Pure: reads no socket.
"""

import ipaddress
from functools import lru_cache
from typing import Final

IPV6_PREFIX_BITS: Final = 64
"""What a site's host has to itself at least (RFC 4291 2.5.1, RFC 6177 2)."""

UNKNOWN: Final = "unknown"
"""The source of what has no address, such as a peer that was gone before it was asked. All of these count as one."""


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Return the source that an address belongs to: an IPv4 address itself, an IPv6 address's /64.

    An IPv4 address written as IPv6 (RFC 4291 2.5.5.2), as sockets that hear both families show it, is that IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    # the network drops a zone ("%eth0"): a neighbour on a link is one host whatever the interface is called
    return str(ipaddress.IPv6Network((int(ip), IPV6_PREFIX_BITS), strict=False))


@lru_cache(maxsize=4096)
def networks_of(source: str) -> tuple[str, ...]:
    """Return the networks that a source is in, the widest first, and the source itself.

    They are those that one owner has many addresses in: an IPv4 /16 and /24, an IPv6 /32 (what a provider has, RFC 6177 2) and /48 (a site).
    """
    try:
        network = ipaddress.ip_network(source)
    except ValueError:
        return (source, source, source)
    wide, narrow = (16, 24) if network.version == 4 else (32, 48)
    return (str(network.supernet(new_prefix=wide)), str(network.supernet(new_prefix=narrow)), source)
