"""One conversation with the manager's API over HTTPS.

Decides how a request is made and what a failure of the connection means to an operator. Leaves meaning to the
commands. Invariant: credentials go to the one URL that was given, never along a redirect.
"""

import asyncio
import base64
import re
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from common.api.values import Nothing, RequestBody
from common.errors import CertcastError, InvalidInputError, UnreachableError
from common.runtime.terminal import say
from manager.cli import unreachable
from manager.cli.access import Access
from manager.cli.decoding import refusal
from manager.cli.failures import ApiRefusedError, explain_refusal
from manager.cli.files import DownloadedFile

API: Final = "/api/certcast/v1/"
CONNECT_S: Final = 10.0
ANSWER_S: Final = 120.0
"""An upload may wait for a key derivation and for the store; a fleet of thousands takes seconds to list."""

SILENCE_S: Final = 90.0
"""The event stream carries heartbeats; a longer silence means that the connection is dead."""

EVENT_MAX_BYTES: Final = 4 * 1024 * 1024

SLOW_S: Final = 1.0
"""Time after which a waiting user is told that work goes on: a 4096-bit key takes seconds to make."""

NOTHING: Final = Nothing()

_FILE_NAME: Final = re.compile(r'filename="([A-Za-z0-9_-][A-Za-z0-9._-]{0,199})"')
"""Names that cannot leave a directory or hide in it."""


class Client:
    """An authenticated client; `async with` it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open. Raises InvalidInputError if the --ca file holds no certificate."""
        context = await asyncio.to_thread(_tls, self._access)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            headers=_headers(self._access),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=EVENT_MAX_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, *path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Return the JSON at a path. Raises ApiRefusedError, UnreachableError."""
        return (await self._ask("GET", path, query=query)).content

    async def post(
        self, *path: str, body: RequestBody = NOTHING, query: Mapping[str, str] | None = None
    ) -> bytes:
        """Send a new thing; return the answer. Raises ApiRefusedError, UnreachableError."""
        return (await self._ask("POST", path, body=body, query=query)).content

    async def put(self, *path: str, body: RequestBody) -> bytes:
        """Set a thing; return the answer. Raises ApiRefusedError, UnreachableError."""
        return (await self._ask("PUT", path, body=body)).content

    async def patch(self, *path: str, body: RequestBody) -> bytes:
        """Change a thing; return the answer. Raises ApiRefusedError, UnreachableError."""
        return (await self._ask("PATCH", path, body=body)).content

    async def delete(self, *path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Remove a thing; return the answer. Raises ApiRefusedError, UnreachableError."""
        return (await self._ask("DELETE", path, query=query)).content

    async def get_file(self, *path: str) -> DownloadedFile:
        """Return the file at a path, with the manager's name for it. Raises ApiRefusedError, UnreachableError."""
        return await self._ask("GET", path, accept="*/*")

    async def post_file(self, *path: str, body: RequestBody) -> DownloadedFile:
        """Ask for a file. Raises ApiRefusedError, UnreachableError."""
        return await self._ask("POST", path, body=body, accept="*/*")

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the stream of events; yields an iterator of each node that changes, as JSON, until the stream ends.

        Raises ApiRefusedError, UnreachableError.
        """
        async with self._open("GET", ("events",), accept="text/event-stream") as response:
            if response.status != 200:
                raise self._refused(response, await response.read())
            yield _events(response.content)

    async def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        body: RequestBody | None = None,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> DownloadedFile:
        slow = asyncio.get_running_loop().call_later(SLOW_S, _say_slow)
        try:
            async with self._open(method, path, body=body, query=query, accept=accept) as response:
                async with asyncio.timeout(ANSWER_S):
                    answer = await response.read()
                if not 200 <= response.status < 300:
                    raise self._refused(response, answer)
                if response.content_type == "text/html":
                    raise unreachable.no_manager(self._access.url, "it sent a web page")
                return DownloadedFile(_file_name(response), answer)
        finally:
            slow.cancel()

    def _refused(self, response: aiohttp.ClientResponse, answer: bytes) -> CertcastError:
        if 300 <= response.status < 400:
            where = response.headers.get("Location", "elsewhere")
            return ApiRefusedError(
                f"the manager redirects to {where}; use that in --url (redirects are not followed)",
                status=response.status,
            )
        if (refused := refusal(response.status, answer)) is not None:
            return explain_refusal(refused, self._access)
        if response.status in unreachable.GATEWAY:
            return unreachable.behind_proxy(self._access.url, response.status)
        return unreachable.no_manager(self._access.url, f"it answered with HTTP status {response.status}")

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        body: RequestBody | None = None,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the client is not open")
        address = f"{self._access.url}{API}{'/'.join(quote(part, safe='') for part in path)}"
        url = URL(f"{address}?{urlencode(query)}" if query else address, encoded=True)
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._session.request(
                    method,
                    url,
                    data=msgspec.json.encode(body) if body is not None else None,
                    headers=headers,
                    allow_redirects=False,
                )
            async with response:
                yield response
        except aiohttp.ConnectionTimeoutError as error:
            raise unreachable.silent(self._access.url) from error
        except TimeoutError as error:
            raise UnreachableError(
                f"{self._access.url} did not answer in time; is it the manager?"
            ) from error
        except aiohttp.ClientError as error:
            raise _unreachable(self._access, error) from error


def _say_slow() -> None:
    if sys.stderr.isatty():
        say("The manager is working on it ...", err=True)


def _file_name(response: aiohttp.ClientResponse) -> str:
    found = _FILE_NAME.search(response.headers.get("Content-Disposition", ""))
    return found.group(1) if found else "download"


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream into events: an empty line ends one, its data lines belong together (HTML standard, 9.2.6).

    Those with a name of their own are of other kinds, and left out.
    """
    data: list[bytes] = []
    is_named = False
    while True:
        async with asyncio.timeout(SILENCE_S):
            line = await content.readline()
        if not line:
            return
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line.removeprefix(b"data:").removeprefix(b" "))
        elif line.startswith(b"event:"):
            is_named = True
        elif not line:
            if data and not is_named:
                yield b"\n".join(data)
            data, is_named = [], False


def _headers(access: Access) -> dict[str, str]:
    if access.token:
        return {"Authorization": f"Bearer {access.token}"}
    pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()  # RFC 7617 2
    return {"Authorization": f"Basic {pair}"}


def _tls(access: Access) -> ssl.SSLContext:
    if access.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if access.ca is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=str(access.ca))
    except (OSError, ssl.SSLError) as error:
        raise InvalidInputError(
            "ca", f"{access.ca} (--ca) holds no PEM certificate that can be read"
        ) from error
    # so that the manager's own certificate, or the CA that issued it, is enough without its root
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _unreachable(access: Access, error: aiohttp.ClientError) -> UnreachableError:
    url = access.url
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            return (
                unreachable.failed(url, found)
                if isinstance(found, OSError)
                else unreachable.no_tls(url, None)
            )
        case aiohttp.ClientConnectorSSLError():
            return unreachable.no_tls(url, error.os_error)
        case aiohttp.ClientConnectorError():
            return unreachable.failed(url, error.os_error)
        case aiohttp.ServerDisconnectedError():
            return unreachable.closed(url)
        case aiohttp.ClientPayloadError():
            return UnreachableError(f"the answer of {url} was cut off; try again")
        case aiohttp.ClientResponseError():
            return unreachable.no_manager(url, "it does not speak HTTP")
        case OSError():
            return unreachable.failed(url, error)
        case _:
            return UnreachableError(f"the connection to {url} broke")
