"""See which leaf a port really serves.

A TLS handshake that trusts anything, since the question is what is served and not whether it is good.
"""

import asyncio
import ssl

from cryptography import x509

from common.errors import Reason, UnreachableError
from common.ids import Fingerprint, fingerprint_of


def lax_context() -> ssl.SSLContext:
    """Return a client context that completes a handshake with old and new services alike."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # probing old services is the point: what they serve is judged elsewhere
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def served_leaf(
    host: str, port: int, *, context: ssl.SSLContext, server_name: str | None, timeout_s: float
) -> tuple[Fingerprint, bytes]:
    """Return the fingerprint and DER of the leaf served at this address.

    `server_name` is sent as SNI, None sends none. Raises UnreachableError: UNREACHABLE (no connection or no TLS) or
    TIMEOUT.
    """
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=server_name or ""
            )
    except TimeoutError as error:
        raise UnreachableError(
            f"{host}:{port} did not answer in {timeout_s:g} s", reason=Reason.TIMEOUT
        ) from error
    except (OSError, ssl.SSLError) as error:
        raise UnreachableError(f"{host}:{port}: {error.strerror or error}") from error
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    if not der:
        raise UnreachableError(f"{host}:{port} showed no certificate")
    return fingerprint_of(der), der


def leaf_not_after_s(der: bytes) -> int:
    """Return a served leaf's notAfter in unix seconds, 0 if it cannot be read."""
    try:
        return int(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())
    except ValueError:
        return 0
