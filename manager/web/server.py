"""The manager's HTTPS endpoint.

Owns the listening socket and the certificate it shows. Invariant: changing the certificate touches no connection that is
open, and the next handshake shows the new one.
"""

import asyncio
import logging
import os
import ssl
from typing import Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from common.errors import InstallError, Reason, UnreachableError

HSTS: Final = "max-age=31536000"
"""One year, as RFC 6797 6.1.1 allows and browsers' preload lists ask."""

SECURITY_HEADERS: Final = {
    "Strict-Transport-Security": HSTS,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}

KEEPALIVE_S: Final = 75.0
"""An AppRunner's own default is an hour."""

SHUTDOWN_S: Final = 3.0
BACKLOG: Final = 1024
HEADER_MAX_BYTES: Final = 16 * 1024
READ_BUFFER_BYTES: Final = 64 * 1024
"""What is taken of a body before anybody reads it is twice as much. It bounds the number of chunks in one go, too."""


class HttpsServer:
    """See the module. Implements `manager.push.local.Endpoint`."""

    def __init__(self, app: web.Application, *, host: str, port: int) -> None:
        self.app = app
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._current: ssl.SSLContext | None = None
        app.on_response_prepare.append(_add_headers)

    @property
    def port(self) -> int:
        """The bound port."""
        if self._runner is not None and self._runner.addresses:
            return int(self._runner.addresses[0][1])
        return self._port

    async def start(self) -> None:
        """Listen. Until a certificate is given, handshakes are refused. Raises UnreachableError."""
        base = _server_context()
        # called in every handshake, with or without a server name
        base.sni_callback = self._choose
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            logger=_quiet_logger(),
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
            # what becomes of the rest of a body, and of a compressed one, is decided in manager.api.guard and .bodies
            lingering_time=0.0,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=HEADER_MAX_BYTES,
            max_field_size=HEADER_MAX_BYTES,
        )
        await self._runner.setup()
        self._site = web.TCPSite(
            self._runner, self._host or None, self._port, ssl_context=base, backlog=BACKLOG
        )
        try:
            await self._site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UnreachableError(
                f"https cannot be bound to {self._host}:{self._port}: {error.strerror}"
            ) from error

    async def use_certificate(self, *, fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> None:
        """Show this certificate from the next handshake on. Raises InstallError; then the old one stays."""
        self._current = await asyncio.to_thread(_load, fullchain_pem, private_key_pem, parameters_pem)

    async def close(self) -> None:
        """Stop listening, and give requests under way a moment to end."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # aiohttp has put its version there
    response.headers["Server"] = "certcast"


def _quiet_logger() -> logging.Logger:
    """Return a logger that leaves out what strangers wrote: malformed requests, which may quote a secret."""
    logger = logging.getLogger(f"{__name__}.http")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # a resumed session shows no certificate, so its client would believe in the old one for hours after a change
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> ssl.SSLContext:
    context = _server_context()
    try:
        # the ssl module reads files only; these are in memory, and nobody else can open them
        with _MemoryFile(fullchain_pem) as chain, _MemoryFile(private_key_pem) as key:
            context.load_cert_chain(chain.path, key.path)
        if "-----BEGIN DH PARAMETERS-----" in parameters_pem:
            with _MemoryFile(parameters_pem) as parameters:
                context.load_dh_params(parameters.path)
    except (OSError, ssl.SSLError) as error:
        raise InstallError(
            f"the certificate cannot be used by this endpoint: {getattr(error, 'reason', None) or 'unreadable'}",
            reason=Reason.RELOAD_FAILED,
        ) from error
    return context


class _MemoryFile:
    """A text as a file without a name."""

    def __init__(self, text: str) -> None:
        self._descriptor = os.memfd_create("certcast", os.MFD_CLOEXEC)
        os.write(self._descriptor, text.encode())
        self.path = f"/proc/self/fd/{self._descriptor}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
