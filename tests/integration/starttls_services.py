"""Services that speak in clear text before TLS: enough of SMTP, LDAP and XMPP for a client to begin."""

import asyncio
import ssl
from contextlib import asynccontextmanager

LDAP_YES = bytes.fromhex("300c02010178070a010004000400")
LDAP_NO = bytes.fromhex("300c02010178070a013404000400")
"""Result 52, unavailable."""

FEATURES = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' "
    b"id='1' from='chat.example.com' version='1.0'><stream:features>%s</stream:features>"
)
XMPP_OFFER = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


async def smtp(reader, writer) -> bool:
    writer.write(b"220-mail.example.com\r\n220 ESMTP\r\n")
    assert (await reader.readline()).startswith(b"EHLO ")
    writer.write(b"250-mail.example.com\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 HELP\r\n")
    assert await reader.readline() == b"STARTTLS\r\n"
    writer.write(b"220 2.0.0 Ready\r\n")
    return True


async def smtp_without(reader, writer) -> bool:
    writer.write(b"220 ESMTP\r\n")
    await reader.readline()
    writer.write(b"250 HELP\r\n")
    return False


async def endless(reader, writer) -> bool:
    for _ in range(2000):
        writer.write(b"220-" + b"x" * 60 + b"\r\n")
        await writer.drain()
    return False


async def ldap(reader, writer) -> bool:
    assert (await reader.readexactly(31)).endswith(b"1.3.6.1.4.1.1466.20037")
    writer.write(LDAP_YES)
    return True


async def ldap_without(reader, writer) -> bool:
    await reader.readexactly(31)
    writer.write(LDAP_NO)
    return False


async def ldap_with_a_long_result(reader, writer) -> bool:
    await reader.readexactly(31)
    code = b"\x0a\x82\x0f\xa0" + b"\x7f" * 4000
    answer = b"\x78\x82" + len(code).to_bytes(2) + code
    message = b"\x02\x01\x01" + answer
    writer.write(b"\x30\x82" + len(message).to_bytes(2) + message)
    return False


async def xmpp(reader, writer) -> bool:
    said = await reader.readuntil(b"etherx.jabber.org/streams") + await reader.readuntil(b">")
    assert b"chat.example.com" in said
    writer.write(FEATURES % XMPP_OFFER)
    await reader.readuntil(b"xmpp-tls")
    await reader.readuntil(b">")
    writer.write(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    return True


async def xmpp_without(reader, writer) -> bool:
    await reader.readuntil(b"etherx.jabber.org/streams")
    writer.write(FEATURES % b"")
    return False


async def silent(reader, writer) -> bool:
    await reader.read()
    return False


@asynccontextmanager
async def serve(speak, context: ssl.SSLContext):
    """Yields the port."""

    async def handle(reader, writer):
        try:
            if await speak(reader, writer):
                await writer.drain()
                await writer.start_tls(context)
        except (OSError, asyncio.IncompleteReadError):
            pass  # a client that has seen enough hangs up
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
