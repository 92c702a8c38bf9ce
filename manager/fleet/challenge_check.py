"""Challenge check as a CA makes it: ask a node at its own address over port 80 (RFC 8555 8.3).

Decides which answers are right, and which redirections to follow: only to the same name, over HTTP or HTTPS,
without verifying its certificate (a CA does not either). Invariant: whatever a node answers, only the given
address is contacted, only the name and the path are sent, and each check costs a bounded number of bytes and
seconds.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, Literal

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from common.challenge import PATH, RESPONSE_MAX_CHARS, is_response
from common.runtime.system_error import words_of
from common.text import printable

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
"""CAs use no other ports (RFC 8555 8.3; at the best-known CA, a redirection leads to one of these two)."""

CHECK_S: Final = 5.0
"""For one check with all its redirections; CAs wait 10 s."""

REDIRECTS_MAX: Final = 3
"""Enough for http to https, with and without a slash; CAs follow 10."""

CHECKED_AT_ONCE: Final = 32

ANSWER_MAX_BYTES: Final = 4 * RESPONSE_MAX_CHARS
"""With trailing white space, which CAs ignore."""

HEADS_MAX: Final = 8
"""How many interim answers may precede one answer. RFC 9110 15.2 allows any number; a web server sends none
or one.
"""

PARSED_BYTES: Final = 4096
"""How many bytes are parsed at once: as many as two hundred interim answers."""

SHOWN_MAX_CHARS: Final = 60

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Kind = Literal["right", "wrong", "nobody"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A node's answer: right, wrong, or none at all (`nobody`). `message` says what was wrong."""

    kind: Kind
    message: str = ""


Check = Callable[[str, str, str, str], Awaitable[CheckResult]]
"""Asks an address for a name's challenge by its token, and compares the answer with the response."""


class _Answer(ResponseHandler):
    """aiohttp's answer parser; it gives up when one interim answer follows another."""

    _heads = 0

    def data_received(self, data: bytes) -> None:
        """Parse received data in small portions."""
        for start in range(0, len(data), PARSED_BYTES):
            if self._heads <= HEADS_MAX:
                super().data_received(data[start : start + PARSED_BYTES])

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Count a head, and pass it on."""
        self._heads += 1
        if self._heads <= HEADS_MAX:
            super().feed_data(data, size)
            return
        self.set_exception(aiohttp.ClientPayloadError("one interim answer follows another"))
        if self.transport is not None:
            self.transport.abort()


class ChallengeChecker:
    """Checks challenges at these ports."""

    def __init__(self, *, http_port: int = HTTP_PORT, https_port: int = HTTPS_PORT) -> None:
        self._ports = {"http": http_port, "https": https_port}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Check]:
        """Lend the check; a few run at once, the others after them."""
        connector = aiohttp.TCPConnector(limit=CHECKED_AT_ONCE, force_close=True, ssl=self._tls)
        # it has no parameter for the parser of an answer
        connector._factory = partial(_Answer, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # noqa: SLF001
        places = asyncio.Semaphore(CHECKED_AT_ONCE)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
        ) as session:

            async def check(address: str, name: str, token: str, response: str) -> CheckResult:
                async with places:
                    return await self._check(session, address, name, token, response)

            yield check

    async def _check(
        self, session: aiohttp.ClientSession, address: str, name: str, token: str, response: str
    ) -> CheckResult:
        where = f"{_bracketed(address)}:{self._ports['http']}"
        try:
            async with asyncio.timeout(CHECK_S):
                return await self._follow(
                    session, address, URL(f"http://{_bracketed(name)}{PATH}{token}"), response
                )
        except TimeoutError:
            return CheckResult("nobody", f"{where} does not answer within {CHECK_S:g} s")
        except aiohttp.ClientConnectorError as error:
            place = f"{_bracketed(error.host)}:{error.port}"
            return CheckResult("nobody", f"nobody answers at {place}: {words_of(error.os_error)}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return CheckResult(
                "wrong", f"{where} does not answer with HTTP: {printable(str(error))[:SHOWN_MAX_CHARS]}"
            )

    async def _follow(
        self, session: aiohttp.ClientSession, address: str, first: URL, response: str
    ) -> CheckResult:
        url = first
        for _ in range(REDIRECTS_MAX + 1):
            port = self._ports[url.scheme]
            where = f"{_bracketed(address)}:{port}"
            async with session.get(
                URL.build(scheme=url.scheme, host=address, port=port, path=url.path, query=url.query),
                headers={
                    "Host": _bracketed(first.host or ""),
                    "User-Agent": "Certcast",
                    "Accept-Encoding": "identity",
                },
                allow_redirects=False,
                server_hostname=first.host,
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return _judge(where, answer.status, await _read(answer), response)
                location = answer.headers.get("Location", "")
            following = _redirect_target(url, location)
            if following is None:
                shown = printable(location)[:SHOWN_MAX_CHARS]
                return CheckResult(
                    "wrong",
                    f"{where} redirects to '{shown}'; only redirections to the same name are followed",
                )
            url = following
        return CheckResult("wrong", f"{where} redirects more than {REDIRECTS_MAX} times")


def _redirect_target(url: URL, location: str) -> URL | None:
    """Return a redirection's target, None if it must not be followed."""
    try:
        target = url.join(URL(location))
        is_same = target.host == url.host and target.user is None and target.password is None
        is_plain = target.scheme in {"http", "https"} and target.is_default_port()
    except ValueError:
        return None
    return target if location and is_same and is_plain else None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body, cut one byte beyond the longest right one."""
    body = b""
    while len(body) <= ANSWER_MAX_BYTES:
        chunk = await answer.content.read(ANSWER_MAX_BYTES + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return body


def _judge(where: str, status: int, body: bytes, response: str) -> CheckResult:
    if status != 200:
        return CheckResult("wrong", f"{where} answers {status}")
    if len(body) > ANSWER_MAX_BYTES:
        return CheckResult("wrong", f"{where} answers with something longer than any challenge")
    text = body.decode("utf-8", errors="replace").rstrip()
    if text == response:
        return CheckResult("right")
    if is_response(text) and "." in text:
        return CheckResult("wrong", f"{where} answers for another account or another challenge")
    if response.partition(".")[0] in text:
        # it is no secret to that node, but must not be shown to people
        return CheckResult("wrong", f"{where} answers the challenge with something before or after it")
    return CheckResult("wrong", f"{where} answers '{printable(text)[:SHOWN_MAX_CHARS]}'")


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if isinstance(ip_address(host), IPv6Address) else host
    except ValueError:
        return host
