"""HTTPS server of the manager.

Owns the listening socket and the certificate it shows. Invariant: a change of certificate affects no open
connection, and the next handshake shows the new one.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from common.errors import InstallError, Reason, UnreachableError
from common.runtime.acceptor import accept_from, listen, stop_listening
from common.runtime.socket_activation import activated_socket
from common.runtime.supervise import Supervisor
from manager.http.handshakes import ServerContexts, measure
from manager.http.middleware import SEAT
from manager.http.seat_limits import SeatLimits
from manager.http.seats import HttpsSeats

HSTS: Final = "max-age=31536000"
"""One year, which RFC 6797 6.1.1 allows and browsers' preload lists require."""

SECURITY_HEADERS: Final = {
    "Strict-Transport-Security": HSTS,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    # the default: no intermediary and no disk may keep lists, names or tokens (RFC 9111 5.2.2.5)
    "Cache-Control": "no-store",
}

HTTPS: Final = "https"
"""The name of the service manager's socket."""

ACCEPTED_PER_TURN: Final = 4
"""How many strangers' connections are admitted before the loop's next turn, and how many from known addresses,
which overtake them. Strangers cut off at their deadline return by the hundred.
"""

SHUTDOWN_S: Final = 3.0
HEADER_MAX_BYTES: Final = 16 * 1024
READ_BUFFER_BYTES: Final = 64 * 1024
"""The read buffer for a body: twice this much is taken before a handler reads. It also bounds the chunks
parsed at once.
"""


class HttpsServer:
    """Implements `manager.fleet.own_port.Endpoint`."""

    def __init__(self, app: web.Application, *, host: str, port: int, limits: SeatLimits) -> None:
        self.app = app
        self.seats = HttpsSeats(limits)
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._make: Callable[[], asyncio.Protocol] | None = None
        self._socket: socket.socket | None = None
        self._contexts = ServerContexts(_server_context)
        app.on_response_prepare.append(_add_headers)
        # outermost: a connection counts as being answered until its answer was sent
        app.middlewares.insert(0, self._attend)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    async def start(self) -> None:
        """Bind. Raises UnreachableError."""
        self._socket = activated_socket(HTTPS)
        if self._socket is None:
            self._socket = self._bound()
        elif (place := self._socket.getsockname()[:2]) != (self._host, self._port):
            raise UnreachableError(
                f"https is set to {self._host}:{self._port}, but the service manager's socket listens at {place[0]}:{place[1]}; "
                "set both to the same, or disable that socket"
            )
        self._runner = web.AppRunner(self.app, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the runner has been set up, and has no server")
        self._make = partial(
            _Requests,
            self._runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # which is what a runner hands on
            logger=_quiet_logger(),
            keepalive_timeout=self.seats.limits.idle_s,
            # manager.http.middleware handles an unread body, .bodies a compressed one
            lingering_time=0.0,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=HEADER_MAX_BYTES,
            max_field_size=HEADER_MAX_BYTES,
        )

    def _bound(self) -> socket.socket:
        try:
            return listen(self._host, self._port)
        except OSError as error:
            is_reserved = error.errno == errno.EACCES
            hint = "; a port below 1024 needs the service manager's socket, or root" if is_reserved else ""
            raise UnreachableError(
                f"https cannot be bound to {self._host}:{self._port}: {error.strerror}{hint}"
            ) from error

    async def run(self) -> None:
        """Accept connections until cancelled. Handshakes are refused until a certificate is set."""
        if self._socket is None or self._make is None:
            raise RuntimeError("the endpoint has not been started")
        await _accept_connections(self.seats, self._contexts, self._make, self._socket)

    async def use_certificate(self, *, fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> None:
        """Show this certificate from the next handshake on.

        Raises InstallError; the old certificate then stays.
        """
        loaded = await asyncio.to_thread(_load, fullchain_pem, private_key_pem, parameters_pem)
        self._contexts.shown, self.seats.handshakes.cost_s = loaded

    async def close(self) -> None:
        """Stop listening, and give running requests a moment to end."""
        if self._socket is not None:
            stop_listening(self._socket)
        if self._runner is not None:
            await self._runner.cleanup()
        self.seats.handshakes.close()

    @web.middleware
    async def _attend(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        watched = self.seats.connection_of(request.protocol)
        if watched is None:
            return await handler(request)
        watched.note_answering(request.content)
        request[SEAT] = watched
        try:
            return await handler(request)
        finally:
            watched.note_answered()


async def _accept_connections(
    seats: HttpsSeats,
    contexts: ServerContexts,
    make: Callable[[], asyncio.Protocol],
    listening: socket.socket,
) -> None:
    """Accept connections until cancelled."""
    loop = asyncio.get_running_loop()
    async with Supervisor() as supervisor:

        def admit(accepted: socket.socket, address: str) -> bool:
            seat = seats.take(address, loop.time())
            if seat is None:
                accepted.close()
                return False
            accepted.setblocking(False)
            supervisor.run("https", seats.serve(seat, accepted, contexts, make))
            return True

        await accept_from(
            listening,
            admit,
            per_turn=ACCEPTED_PER_TURN,
            ahead=seats.limits.ahead,
            overtakes=seats.limits.waits_for_no_stranger,
        )


class _Requests(web.RequestHandler):
    """aiohttp's end of a connection. Its own refusals of invalid HTTP look like every other answer."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to an unreadable request."""
        refusal = super().handle_error(request, status, exc, message)
        _mark(refusal)
        return refusal


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    _mark(response)


def _mark(response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # aiohttp would state its version there
    response.headers["Server"] = "certcast"


def _quiet_logger() -> logging.Logger:
    """Return a logger that omits strangers' input: malformed requests may quote a secret."""
    logger = logging.getLogger(f"{__name__}.http")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # a resumed session shows no certificate: its client would trust the old one for hours after a change; see
    # also `ServerContexts`
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> tuple[ssl.SSLContext, float]:
    """Return the TLS context for this certificate, and the seconds of CPU a handshake with it takes."""
    context = _server_context()
    try:
        # the ssl module reads only files; these are in memory and no other process can open them
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
    return context, measure(context)


class _MemoryFile:
    """A text as an anonymous file."""

    def __init__(self, text: str) -> None:
        self._descriptor = os.memfd_create("certcast", os.MFD_CLOEXEC)
        os.write(self._descriptor, text.encode())
        self.path = f"/proc/self/fd/{self._descriptor}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
