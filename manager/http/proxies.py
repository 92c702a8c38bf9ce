"""Trusted reverse proxies: which of them may state a request's origin and the name the browser used.

Decides the client's address: the right-most one in `Forwarded` (RFC 7239) or `X-Forwarded-For` that is not a
trusted proxy's, because only entries added by trusted proxies are reliable. Also tells connections apart, so
that a client can be recognised by its own; a trusted proxy's connection belongs to no client, as it carries
everyone's requests. Invariant: a client that is not a trusted proxy is known by its connection's address,
whatever it sends. If the headers are contradictory or unreadable, the last trusted proxy's address is used.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from manager.usecases.connections import ClientConnection

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECTION: Final[web.RequestKey[ClientConnection | None]] = web.RequestKey("connection")
"""The client's own connection; None if it carries others' requests too."""

FOR: Final = "X-Forwarded-For"
HOST: Final = "X-Forwarded-Host"
HOPS_MAX: Final = 32
"""How many proxies may stand between a client and here; our proxies wrote none of the entries further to the
left.
"""


class Proxies:
    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(each) for each in networks)
        self._connections: WeakKeyDictionary[asyncio.BaseTransport, ClientConnection] = WeakKeyDictionary()

    def trust(self, address: str) -> bool:
        """Whether this is a trusted proxy's address."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if found.version == 6 and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)

    def middleware(self) -> Middleware:
        """Return the middleware that sets `remote` to the client's address.

        It also sets `host` to the name the browser used.
        """

        @web.middleware
        async def resolve_client(request: web.Request, handler: Handler) -> web.StreamResponse:
            peer = request.remote or ""
            if not self.trust(peer):
                request[CONNECTION] = self._connection_of(request.transport)
                return await handler(request)
            address, host = self.client(request, peer)
            behind = request.clone(remote=address, host=host)
            behind[CONNECTION] = None
            return await handler(behind)

        return resolve_client

    def _connection_of(self, transport: asyncio.BaseTransport | None) -> ClientConnection | None:
        if transport is None:
            return None
        if transport not in self._connections:
            self._connections[transport] = ClientConnection()
        return self._connections[transport]

    def client(self, request: web.BaseRequest, peer: str) -> tuple[str, str]:
        """Return a trusted proxy's client address and the requested host."""
        elements = request.forwarded[-HOPS_MAX:]
        by_element, depth = self._walk([each.get("for", "") for each in elements], peer)
        by_list, _ = self._walk(_values_of(request, FOR)[-HOPS_MAX:], peer)
        both = hdrs.FORWARDED in request.headers and FOR in request.headers
        if both and by_element != by_list:
            # a proxy writes one of the two; the other came from the client
            return peer, request.host
        address = by_element if hdrs.FORWARDED in request.headers else by_list
        host = (elements[-depth].get("host", "") if depth else "") or _values_of(request, HOST)[-1].strip()
        return address, host or request.host

    def _walk(self, nodes: Sequence[str], peer: str) -> tuple[str, int]:
        """Return the right-most untrusted address, or the last trusted one, and the number of believed nodes."""
        known, depth = peer, 0
        for node in reversed(nodes):
            address = _address(node)
            if address is None:
                break
            known, depth = address, depth + 1
            if not self.trust(address):
                break
        return known, depth


def _values_of(request: web.BaseRequest, name: str) -> list[str]:
    return ",".join(request.headers.getall(name, ())).split(",")


def _address(node: str) -> str | None:
    """Return a node's address without its port (RFC 7239 6); None for `unknown`, a name or garbage."""
    text = node.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
