"""A DNS server that answers as a test wants: wrongly, never, or with what is no DNS at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import dns.flags
import dns.message
import dns.rrset
import dns.tsig

PORT: Final = 53

Answer = dns.message.Message | bytes | None
"""None: it says nothing."""

Behaviour = Callable[[dns.message.Message, bool], Answer]
"""Answers a question; the flag says whether it came by TCP."""


def answer(
    asked: dns.message.Message, *records: str, code: int = 0, is_authoritative: bool = True
) -> dns.message.Message:
    """Return an answer with these records, each as `NAME TTL IN TYPE DATA`."""
    made = dns.message.make_response(asked)
    made.set_rcode(code)
    if is_authoritative:
        made.flags |= dns.flags.AA
    for record in records:
        name, ttl, rdclass, kind, data = record.split(" ", 4)
        made.answer.append(dns.rrset.from_text(name, int(ttl), rdclass, kind, data))
    return made


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, behaviour: Callable[[bytes, bool], bytes | None]) -> None:
        self._behaviour = behaviour

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (said := self._behaviour(data, False)) is not None:
            self._transport.sendto(said, addr)


@contextlib.asynccontextmanager
async def nameserver(
    address: str, behaviour: Behaviour, *, key: dns.tsig.Key | None = None, by_tcp: bool = True
) -> AsyncIterator[None]:
    """Answer at an address, on port 53, in this loop. `key` is what signed questions are read with."""

    def respond(wire: bytes, is_tcp: bool) -> bytes | None:
        said = behaviour(dns.message.from_wire(wire, keyring=key if key is not None else False), is_tcp)
        return said if said is None or isinstance(said, bytes) else said.to_wire(max_size=65535)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(EOFError, ConnectionError):
                length = int.from_bytes(await reader.readexactly(2), "big")
                said = respond(await reader.readexactly(length), True)
                if said is None:
                    await reader.read()  # until whoever asked has had enough
                else:
                    writer.write(len(said).to_bytes(2, "big") + said)
                    await writer.drain()
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(respond), local_addr=(address, PORT)
    )
    server = await asyncio.start_server(converse, address, PORT) if by_tcp else None
    try:
        yield
    finally:
        transport.close()
        if server is not None:
            server.close()
            await server.wait_closed()
