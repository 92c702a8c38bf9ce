"""STARTTLS preambles: the exchange in clear text before TLS begins, for SMTP, LDAP and XMPP.

Decides whether a peer agrees to begin. Leaves the time limit to the caller, which bounds the whole attempt.
Invariant: at most `ANSWER_MAX_BYTES` of a peer's answers are read.
"""

import asyncio
from typing import Final

from common.errors import UnreachableError
from common.runtime.handshake import Preamble
from nodeagent.core.services import Protocol

ANSWER_MAX_BYTES: Final = 16 * 1024
"""Real greetings and features are below 2 KiB."""

# RFC 4511 4.14.1: ExtendedRequest with the OID of StartTLS, message 1
LDAP_REQUEST: Final = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
LDAP_SUCCESS: Final = 0
_CODE_MAX_BYTES: Final = 4
"""The longest result code; there are some hundred (RFC 4511 4.1.9)."""

_SEQUENCE, _INTEGER, _ENUMERATED, _EXTENDED_RESPONSE = 0x30, 0x02, 0x0A, 0x78


def preamble_of(protocol: Protocol, domain: str) -> Preamble | None:
    """Return the exchange before the handshake, None for a protocol without one. `domain` is XMPP's `to`."""
    match protocol:
        case "smtp":
            return smtp
        case "ldap":
            return ldap
        case "xmpp":

            async def xmpp_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await xmpp(reader, writer, domain)

            return xmpp_to
        case _:
            return None


async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for TLS as an SMTP client does (RFC 3207)."""
    await _smtp_reply(reader, "220", "the greeting")
    writer.write(b"EHLO localhost\r\n")
    offers = await _smtp_reply(reader, "250", "EHLO")
    if not any(line[4:].strip().upper() == "STARTTLS" for line in offers):
        raise UnreachableError("the SMTP server does not offer STARTTLS")
    writer.write(b"STARTTLS\r\n")
    await _smtp_reply(reader, "220", "STARTTLS")


async def ldap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for TLS as an LDAP client does (RFC 4511 4.14)."""
    writer.write(LDAP_REQUEST)
    try:
        body = await _ldap_message(reader)
        after_id, _ = _element(body, _INTEGER)
        _, response = _element(after_id, _EXTENDED_RESPONSE)
        _, result = _element(response, _ENUMERATED)
    except (ValueError, asyncio.IncompleteReadError) as error:
        raise UnreachableError("the LDAP server's answer to StartTLS cannot be read") from error
    code = int.from_bytes(result[:_CODE_MAX_BYTES], "big")
    if code != LDAP_SUCCESS or len(result) > _CODE_MAX_BYTES:
        raise UnreachableError(f"the LDAP server refuses StartTLS (result {code})")


async def xmpp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, domain: str) -> None:
    """RFC 6120 5.4. `domain` holds no character that XML quotes (`nodeagent.core.servicesfile`)."""
    writer.write(
        f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>".encode()
    )
    features = await _xmpp_until(reader, (b"</stream:features>", b"<stream:features/>", b"<stream:error"))
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in features:
        raise UnreachableError(f"the XMPP server does not offer STARTTLS for '{domain}'")
    writer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    answer = await _xmpp_until(reader, (b">",))
    if not answer.lstrip().startswith(b"<proceed"):
        raise UnreachableError("the XMPP server refuses STARTTLS")


async def _smtp_reply(reader: asyncio.StreamReader, wanted: str, what: str) -> list[str]:
    """Read one reply of one or more lines (RFC 5321 4.2.1)."""
    lines: list[str] = []
    answer_bytes = 0
    while True:
        try:
            raw = await reader.readline()
        except ValueError as error:  # a line over the reader's limit
            raise UnreachableError("the SMTP server sends too much") from error
        answer_bytes += len(raw)
        line = raw.decode("ascii", "replace").rstrip("\r\n")
        if answer_bytes > ANSWER_MAX_BYTES:
            raise UnreachableError("the SMTP server sends too much")
        if not line.startswith(wanted):
            raise UnreachableError(f"the SMTP server answers {what} with '{line:.80}'")
        lines.append(line)
        if line[3:4] != "-":
            return lines


async def _ldap_message(reader: asyncio.StreamReader) -> bytes:
    """Read one LDAPMessage and return its content. Raises ValueError, IncompleteReadError."""
    tag, length = await reader.readexactly(2)
    if tag != _SEQUENCE:
        raise ValueError(tag)
    if length & 0x80:
        # OpenLDAP sends short forms; Active Directory four bytes of length
        length = int.from_bytes(await reader.readexactly(length & 0x7F), "big")
    if length > ANSWER_MAX_BYTES:
        raise ValueError(length)
    return await reader.readexactly(length)


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split off one BER element; return the bytes after it, and its content. Raises ValueError."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError(data[:2])
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError(length)
    return data[start + length :], data[start : start + length]


async def _xmpp_until(reader: asyncio.StreamReader, ends: tuple[bytes, ...]) -> bytes:
    answer = b""
    while not any(end in answer for end in ends):
        if len(answer) > ANSWER_MAX_BYTES:
            raise UnreachableError("the XMPP server sends too much")
        chunk = await reader.read(4096)
        if not chunk:
            raise UnreachableError("the XMPP server closed before TLS began")
        answer += chunk
    return answer
