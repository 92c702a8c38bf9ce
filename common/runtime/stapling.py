"""OCSP stapling of a port: whether it sends an OCSP response when a client asks for one (RFC 6066 8).

Python's TLS cannot show that, so this module sends its own TLS 1.2 ClientHello and reads the server's first flight,
which is in clear text. Does not judge the response itself. The result for a port that speaks only TLS 1.3, or does
not answer with this flight, is unknown, never wrong.
Invariant: at most `FLIGHT_MAX_BYTES` of a peer's answer are read.
"""

import asyncio
import secrets
from typing import Final

from common.errors import UnreachableError
from common.runtime.handshake import PREAMBLE_LINE_BYTES, Preamble

FLIGHT_MAX_BYTES: Final = 256 * 1024

_TLS_FEATURE: Final = bytes.fromhex("06082b06010505070118")
"""The object identifier of the extension that RFC 7633 defines, in DER."""

_STATUS_REQUEST: Final = bytes.fromhex("020105")
"""Feature 5, status_request, as encoded in the extension."""

_HANDSHAKE: Final = 22
_CERTIFICATE, _CERTIFICATE_STATUS, _SERVER_HELLO_DONE = 11, 22, 14
_SUITES: Final = bytes.fromhex("c02bc02fc02cc030cca9cca8c009c013c00ac014009c009d002f0035009eccaa009f00ff")
_GROUPS: Final = bytes.fromhex("001d001700180019")
_SIGNATURES: Final = bytes.fromhex("0403050306030804080508060401050106010807080802010203")


def demands_stapling(der: bytes) -> bool:
    """Whether a certificate demands stapling (RFC 7633); works on certificates that strict parsers refuse."""
    _, found, after = der.partition(_TLS_FEATURE)
    return bool(found) and _STATUS_REQUEST in after[:24]


async def see_stapling(
    host: str, port: int, *, server_name: str | None, timeout_s: float, preamble: Preamble | None = None
) -> bool | None:
    """Return whether the port staples, None if unknown."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(host, port, server_name, preamble)
    except (TimeoutError, OSError, UnreachableError, asyncio.IncompleteReadError, ValueError):
        return None


async def _ask(host: str, port: int, server_name: str | None, preamble: Preamble | None) -> bool | None:
    reader, writer = await asyncio.open_connection(host, port, limit=PREAMBLE_LINE_BYTES)
    try:
        if preamble is not None:
            await preamble(reader, writer)
        writer.write(client_hello(server_name))
        return await _read_flight(reader)
    finally:
        writer.transport.abort()


async def _read_flight(reader: asyncio.StreamReader) -> bool | None:
    messages, seen, read_bytes = bytearray(), set[int](), 0
    while read_bytes < FLIGHT_MAX_BYTES:
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[3:], "big"))
        read_bytes += len(head) + len(body)
        if head[0] != _HANDSHAKE:
            return None  # an alert, most likely: no protocol version or cipher in common
        messages += body
        while len(messages) >= 4 and len(messages) >= (end := 4 + int.from_bytes(messages[1:4], "big")):
            seen.add(messages[0])
            if messages[0] == _CERTIFICATE_STATUS:
                return True
            if messages[0] == _SERVER_HELLO_DONE:
                return False if _CERTIFICATE in seen else None
            del messages[:end]
    return None


def client_hello(server_name: str | None) -> bytes:
    """Return the record of a TLS 1.2 ClientHello that asks for an OCSP response."""
    extensions = [
        _extension(5, b"\x01\x00\x00\x00\x00"),
        _extension(10, _sized(2, _GROUPS)),
        _extension(11, b"\x01\x00"),
        _extension(13, _sized(2, _SIGNATURES)),
        _extension(23, b""),
    ]
    if server_name is not None:
        name = server_name.encode("idna") if not server_name.isascii() else server_name.encode()
        extensions.insert(0, _extension(0, _sized(2, b"\x00" + _sized(2, name))))
    hello = (
        b"\x03\x03"
        + secrets.token_bytes(32)
        + b"\x00"
        + _sized(2, _SUITES)
        + b"\x01\x00"
        + _sized(2, b"".join(extensions))
    )
    return b"\x16\x03\x01" + _sized(2, b"\x01" + _sized(3, hello))


def _extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + _sized(2, body)


def _sized(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body
