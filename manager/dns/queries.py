"""Queries to one DNS server, by UDP and then, if the answer does not fit, by TCP.

Decides how long and how often a server is queried, and what counts as its answer. Leaves the meaning to the
caller. Invariant: every query ends within its deadline, and no foreign message is parsed on the loop.
"""

import asyncio
import contextlib
import errno
import struct
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.tsig

from common.runtime.system_error import words_of
from manager.dns.settings import DNS_PORT, HostPort

ASK_S: Final = 3.0
"""Timeout of one attempt."""

TRIES: Final = 2
"""Attempts by UDP, which may lose a query or its answer."""

PAYLOAD_BYTES: Final = 1232
"""Size of an answer by UDP (DNS Flag Day 2020)."""

HEADER_BYTES: Final = 12
"""Size of each message's header (RFC 1035 4.1.1). Its first two bytes are the query's id."""

COUNTS_AT: Final = 4
"""The header's counts of questions and records."""

RECORDS_READ_MAX: Final = 128
"""Records in all parts of an answer. A zone with 13 servers has 40; with long names so many take a third of a
second."""

_COUNTS: Final = struct.Struct("!4H")

_PARSING: Final = ThreadPoolExecutor(1, thread_name_prefix="dns")
"""Parses answers one at a time: an expensive answer delays other answers, but nothing else that needs a
thread."""

TRUNCATED: Final = 0x02
"""The truncation bit (TC), in the header's third byte."""

LENGTH_BYTES: Final = 2
"""Size of the length before each message by TCP (RFC 1035 4.2.2)."""

DATAGRAMS_MAX: Final = 64
"""Datagrams of a flood that are kept until they are examined."""

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of a machine without a route to a family of addresses, usually IPv6."""


NOT_DNS: Final = "answers with what is not an answer of DNS"


class NoAnswerError(Exception):
    """No answer from a server; `message` says what it did instead.

    `has_no_route`: we cannot reach that address family.
    """

    def __init__(self, message: str, *, has_no_route: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.has_no_route = has_no_route


def make_query(name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
    """Return a query for authoritative data: without recursion."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD_BYTES)
    query.flags = 0
    return query


async def send_query(query: dns.message.Message, address: str) -> dns.message.Message:
    """Query the server at an address. Raises NoAnswerError."""
    server = HostPort(address, DNS_PORT)
    sent = query.to_wire()
    wire = await _by_udp_twice(sent, server)
    if wire[2] & TRUNCATED:
        wire = await _within(_by_tcp(sent, server))
    try:
        return await _read(wire, query, keyring=None)
    except dns.exception.DNSException as error:
        raise NoAnswerError(NOT_DNS) from error


async def exchange(query: dns.message.Message, server: HostPort) -> dns.message.Message:
    """Send a signed message by TCP to a server whose host is an address.

    An unsigned answer is returned as such (`had_tsig`), since it may say why. Raises NoAnswerError;
    DNSException if the signature is wrong.
    """
    wire = await _within(_by_tcp(query.to_wire(), server))
    try:
        return await _read(wire, query, keyring=query.keyring)
    except dns.exception.FormError:
        answer = await _read(wire, query, keyring=False)
        if answer.had_tsig:
            raise
        return answer


class OffLoopResolver(dns.nameserver.Do53Nameserver):
    """The library's resolver at an address. Zones' owners can make answers long, so a thread parses them."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109 - the library's signature
        source: str | None,
        source_port: int,
        max_size: bool,  # noqa: FBT001 - the library's signature
        backend: Any,
        one_rr_per_rrset: bool = False,  # noqa: FBT001, FBT002 - the library's signature
        ignore_trailing: bool = False,  # noqa: FBT001, FBT002 - the library's signature
    ) -> dns.message.Message:
        """Query it once, by TCP if `max_size`.

        Raises DNSException, OSError, EOFError, after which the library retries.
        """
        del source, source_port, backend, one_rr_per_rrset, ignore_trailing
        send = _by_tcp if max_size else _by_udp
        try:
            async with asyncio.timeout(timeout):
                wire = await send(request.to_wire(), HostPort(self.address, self.port))
        except TimeoutError as error:
            raise dns.exception.Timeout from error
        if not max_size and wire[2] & TRUNCATED:
            raise dns.message.Truncated
        try:
            return await _read(wire, request, keyring=None)
        except NoAnswerError as error:
            raise dns.exception.FormError from error


async def _by_udp_twice(sent: bytes, server: HostPort) -> bytes:
    for _ in range(TRIES - 1):
        with contextlib.suppress(NoAnswerError):
            return await _within(_by_udp(sent, server))
    return await _within(_by_udp(sent, server))


async def _within(work: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(ASK_S):
            return await work
    except TimeoutError as error:
        raise NoAnswerError(f"did not answer within {ASK_S:g} s") from error
    except ConnectionRefusedError as error:
        raise NoAnswerError("refuses connections, as if no DNS server ran there") from error
    except EOFError as error:
        raise NoAnswerError("ended the connection without an answer") from error
    except OSError as error:
        has_no_route = error.errno in _NO_ROUTE
        raise NoAnswerError(f"cannot be reached: {words_of(error)}", has_no_route=has_no_route) from error


class _Datagrams(asyncio.DatagramProtocol):
    """Collects datagrams from the one address that the socket is connected to."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue(DATAGRAMS_MAX)

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        with contextlib.suppress(asyncio.QueueFull):
            self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.received.put_nowait(exc)


async def _by_udp(sent: bytes, server: HostPort) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        _Datagrams, remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(sent)
        while True:
            found = await protocol.received.get()
            if isinstance(found, Exception):
                raise found
            if len(found) >= HEADER_BYTES and found[:2] == sent[:2]:
                return found
    finally:
        transport.abort()


async def _by_tcp(sent: bytes, server: HostPort) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(sent).to_bytes(LENGTH_BYTES, "big") + sent)
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    finally:
        writer.transport.abort()


async def _read(
    wire: bytes, query: dns.message.Message, *, keyring: dns.tsig.Key | Literal[False] | None
) -> dns.message.Message:
    """Parse an answer in the parser's thread, unless its header announces implausibly many records.

    Raises NoAnswerError, DNSException.
    """
    if len(wire) < HEADER_BYTES:
        raise NoAnswerError(NOT_DNS)
    questions, *records = _COUNTS.unpack_from(wire, COUNTS_AT)
    if questions > 1:
        raise NoAnswerError(NOT_DNS)
    if sum(records) > RECORDS_READ_MAX:
        raise NoAnswerError(
            f"answers with {sum(records)} records, and no answer of more than {RECORDS_READ_MAX} is read"
        )
    return await asyncio.get_running_loop().run_in_executor(_PARSING, _parse, wire, query, keyring)


def _parse(
    wire: bytes, query: dns.message.Message, keyring: dns.tsig.Key | Literal[False] | None
) -> dns.message.Message:
    answer = dns.message.from_wire(wire, keyring=keyring, request_mac=query.mac, ignore_trailing=True)
    if not query.is_response(answer):
        raise NoAnswerError(NOT_DNS)
    return answer
