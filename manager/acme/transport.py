"""HTTPS connections to a CA: the only way out of this package.

Decides what is sent and accepted: only https, TLS verified by the given certificates alone, no proxy, no
redirect, no cookie, and answers of bounded length. Invariant: `end` makes every wait here fail at once, from
any thread, even while a CA sends one byte now and then.
"""

import contextlib
import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import certifi
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import BaseHTTPResponse, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from common.runtime.system_error import words_of
from manager.acme.refusals import refusal, words
from manager.usecases.renewal.ports import CaError

CONNECT_S: Final = 10.0
READ_S: Final = 30.0
"""Timeout of one read. A CA that signs while it answers takes seconds."""

BODY_MAX_BYTES: Final = 1024 * 1024
"""Size of an answer; a chain of four certificates has 8 KiB, the longest list of orders here 300 KiB."""

HOSTS_MAX: Final = 8
"""Hosts that an order may lead to; CAs have one, or a second one for downloads."""

_PIECE_BYTES: Final = 64 * 1024


def tls_context(trust_pem: str) -> ssl.SSLContext:
    """Return a context that trusts `trust_pem`, or the built-in CAs if it is "".

    Raises CaError if it cannot be read.
    """
    try:
        if trust_pem:
            return ssl.create_default_context(cadata=trust_pem)
        return ssl.create_default_context(cafile=certifi.where())
    except (ssl.SSLError, ValueError) as error:
        raise CaError(
            "the certificates that the CA is verified with cannot be read", is_final=True
        ) from error


class Sockets:
    """The open connections, each by a second handle, which stays valid whatever TLS does with the first.

    A connection that is closed during a request is released after it: the answer may still be read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._loose: set[socket.socket] = set()
        self._asking = False
        self._ended = False

    def watch(self, connection: socket.socket) -> socket.socket:
        """Add a connection; return its second handle."""
        handle = connection.dup()
        with self._lock:
            self._open.add(handle)
            if self._ended:
                _shut(handle)
        return handle

    def forget(self, handle: socket.socket) -> None:
        """Release a connection."""
        with self._lock:
            if self._asking:
                self._loose.add(handle)
                return
            self._open.discard(handle)
        handle.close()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Delay releases until the block ends."""
        with self._lock:
            self._asking = True
        try:
            yield
        finally:
            with self._lock:
                self._asking = False
                loose, self._loose = self._loose, set()
                self._open -= loose
            for handle in loose:
                handle.close()

    def end(self) -> None:
        """Cut every connection, including later ones."""
        with self._lock:
            self._ended = True
            for handle in self._open:
                _shut(handle)


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


class _Connection(HTTPSConnection):
    def __init__(self, *arguments: Any, sockets: Sockets, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sockets = sockets
        self._handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self._handle = self._sockets.watch(connection)
        return connection

    def close(self) -> None:
        super().close()
        handle, self._handle = self._handle, None
        if handle is not None:
            self._sockets.forget(handle)


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class Transport(BaseAdapter):
    """Sends one session's requests.

    `clock` is the wall clock, in unix seconds. Anything but success raises CaError.
    """

    def __init__(self, context: ssl.SSLContext, *, clock: Callable[[], float]) -> None:
        super().__init__()
        self._context = context
        self._clock = clock
        self._sockets = Sockets()
        self._pools: dict[tuple[str, int], _Pool] = {}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - the library's own signature
        timeout: object = None,
        verify: object = True,  # noqa: FBT002 - likewise
        cert: object = None,
        proxies: object = None,
    ) -> requests.Response:
        """Send a request and read the whole answer. The session's timeouts, trust and proxies are ignored."""
        url = parse_url(request.url or "")
        host = url.host or ""
        try:
            with self._sockets.asking():
                raw = self._pool(host, url.port or 443).urlopen(
                    request.method or "",
                    request.path_url,
                    body=cast("bytes | str | None", request.body),
                    headers=cast("Mapping[str, str]", request.headers),
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=Timeout(connect=CONNECT_S, read=READ_S),
                )
                body = _taken(host, raw)
        except HTTPError as error:
            raise CaError(f"{host} cannot be asked: {_cause(error)}") from error
        if not 200 <= raw.status < 300:
            raise refusal(
                host,
                status=raw.status,
                retry_after=raw.headers.get("Retry-After"),
                body=body,
                now_s=self._clock(),
                link=raw.headers.get("Link"),
            )
        return _answer(request, raw, body)

    def _pool(self, host: str, port: int) -> _Pool:
        if (host, port) not in self._pools:
            if len(self._pools) >= HOSTS_MAX:
                raise CaError(f"the CA leads to more than {HOSTS_MAX} hosts")
            self._pools[host, port] = _Pool(
                host, port, maxsize=1, ssl_context=self._context, sockets=self._sockets
            )
        return self._pools[host, port]

    def end(self) -> None:
        """Make a running request fail at once, and send nothing any more."""
        self._sockets.end()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()


def _taken(host: str, raw: BaseHTTPResponse) -> bytes:
    """Read an answer to its end, piece by piece, so that a slow one is cut when the time is up."""
    body = bytearray()
    with contextlib.ExitStack() as whole:
        whole.callback(raw.close)
        while piece := raw.read1(_PIECE_BYTES, decode_content=False):
            body += piece
            if len(body) > BODY_MAX_BYTES:
                raise CaError(f"{host} sent more than {BODY_MAX_BYTES} bytes")
        whole.pop_all()
    raw.release_conn()
    return bytes(body)


def _answer(request: requests.PreparedRequest, raw: BaseHTTPResponse, body: bytes) -> requests.Response:
    answer = requests.Response()
    answer.status_code = raw.status
    answer.headers = CaseInsensitiveDict(raw.headers)
    answer.raw = io.BytesIO(body)
    answer.encoding = "utf-8"
    answer.url = request.url or ""
    answer.request = request
    return answer


def _cause(error: BaseException) -> str:
    """Describe the innermost cause."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({words(error.verify_message)})"
        case TimeoutError():
            return "it did not answer in time"
        case OSError(strerror=str()):
            return words(words_of(error))
        case _:
            return words(str(error)) or type(error).__name__
