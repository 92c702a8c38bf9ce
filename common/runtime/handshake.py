"""TLS handshake as a client: the leaf and the chain that a port really sends.

It trusts any certificate: the question is which one is served, not whether it is good.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from common.errors import Reason, UnreachableError
from common.ids import Fingerprint, fingerprint_of
from common.pki.der import DerError
from common.pki.expiry import NO_DATE_S
from common.pki.frame import read_frame, read_time
from common.runtime.system_error import words_of

Preamble = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""The clear-text exchange before the handshake (STARTTLS). Raises UnreachableError if the peer refuses."""

PREAMBLE_LINE_BYTES: Final = 16 * 1024
"""The longest line that a peer may send in clear text."""


RECEIVED_BYTES: Final = 64 * 1024
"""Bytes read from a peer at once; a handshake has a few thousand."""

LEAVES_MAX: Final = 16
"""Leaves cached after parsing. A port is probed at least four times until it has settled."""


class AlertError(UnreachableError):
    """The peer answered the handshake with a TLS alert: it runs, but refuses or cannot continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The result of a handshake. `chain` is DER as sent, the leaf first; `tls` is the protocol version."""

    leaf: Fingerprint
    chain: tuple[bytes, ...] = field(repr=False)
    tls: str

    @property
    def der(self) -> bytes:
        """The leaf's DER, which is sent first."""
        return self.chain[0]


def lax_context() -> ssl.SSLContext:
    """Return a client context that completes a handshake with old and new services alike."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # old services must be probed too: their certificates are judged elsewhere
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def see_served(
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    server_name: str | None,
    timeout_s: float,
    preamble: Preamble | None = None,
) -> Served:
    """Return the certificates served at this address.

    `server_name` is sent as SNI; None sends none. Raises UnreachableError: UNREACHABLE (no connection or no TLS)
    or TIMEOUT; AlertError for a TLS alert.
    """
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _shake_hands(host, port, context, server_name, preamble)
    except TimeoutError as error:
        raise UnreachableError(
            f"{host}:{port} did not answer in {timeout_s:g} s", reason=Reason.TIMEOUT
        ) from error
    except UnreachableError as error:
        raise UnreachableError(f"{host}:{port}: {error.message}") from error
    except OSError as error:
        is_alert = isinstance(error, ssl.SSLError) and "_ALERT_" in (error.reason or "")
        kind = AlertError if is_alert else UnreachableError
        raise kind(f"{host}:{port}: {words_of(error)}") from error
    chain = _sent_chain(connection)
    if not chain:
        raise UnreachableError(f"{host}:{port} presented no certificate")
    return Served(leaf=fingerprint_of(chain[0]), chain=chain, tls=connection.version() or "")


@lru_cache(maxsize=LEAVES_MAX)
def leaf_not_after_s(der: bytes) -> int:
    """Return a leaf's notAfter in unix seconds for reports, which use a special number for an unreadable one."""
    try:
        return read_time(read_frame(der).not_after)[0]
    except DerError:
        return NO_DATE_S


async def _shake_hands(
    host: str, port: int, context: ssl.SSLContext, server_name: str | None, preamble: Preamble | None
) -> ssl.SSLObject:
    """Complete a handshake, close the connection and return the result.

    Uses memory buffers instead of asyncio's TLS, which allocates 256 KiB per connection for data never sent here.
    """
    reader, writer = await asyncio.open_connection(host, port, limit=PREAMBLE_LINE_BYTES)
    try:
        if preamble is not None:
            await preamble(reader, writer)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        while not _is_done(tls):
            writer.write(outgoing.read())
            if received := await reader.read(RECEIVED_BYTES):
                incoming.write(received)
            else:
                incoming.write_eof()
        writer.write(outgoing.read())
    finally:
        writer.transport.abort()
    return tls


def _is_done(tls: ssl.SSLObject) -> bool:
    """Continue the handshake with the data received; return whether it is done. Raises ssl.SSLError."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _sent_chain(connection: Any) -> tuple[bytes, ...]:
    """Return the chain as the peer sent it, unverified.

    Python has a public method from 3.13 on; before that only the private object below has one (3.10, bpo-18233).
    """
    if hasattr(connection, "get_unverified_chain"):
        return tuple(connection.get_unverified_chain())
    sent = connection._sslobj.get_unverified_chain() or ()  # noqa: SLF001 - see above
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent)
