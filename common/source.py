"""Source of a request or connection: the unit that counts as one stranger.

Invariant: every limit and count per address, on each port of both daemons, uses it, so that an IPv6 host, which has a
/64 to itself (RFC 6177 2), counts once. Pure: reads no socket.
"""

import ipaddress
from functools import lru_cache
from typing import Final

IPV6_PREFIX_BITS: Final = 64
"""The smallest network of a host (RFC 4291 2.5.1, RFC 6177 2)."""

UNKNOWN: Final = "unknown"
"""The source of peers without an address, such as one that was gone before it was asked. All count as one."""


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Return an address's source: an IPv4 address itself, or an IPv6 address's /64.

    Treats an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), as dual-stack sockets report it, as the IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    # the network drops a zone ("%eth0"): a neighbour on a link is one host whatever the interface's name
    return str(ipaddress.IPv6Network((int(ip), IPV6_PREFIX_BITS), strict=False))


@lru_cache(maxsize=4096)
def networks_of(source: str) -> tuple[str, ...]:
    """Return the networks that contain a source, the widest first, and the source itself.

    One owner may have many addresses in them: an IPv4 /16 and /24, an IPv6 /32 (a provider, RFC 6177 2) and /48 (a site).
    """
    try:
        network = ipaddress.ip_network(source)
    except ValueError:
        return (source, source, source)
    wide, narrow = (16, 24) if network.version == 4 else (32, 48)
    return (str(network.supernet(new_prefix=wide)), str(network.supernet(new_prefix=narrow)), source)
