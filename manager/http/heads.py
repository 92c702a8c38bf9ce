"""Request heads: the accepted framing and size, the weight of a request, and the credentials in it.

Reads our own few cookies only: parsing 1,000 takes longer than answering. Invariant: a refused head is read
only as far as needed to count it.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from common.source import UNKNOWN, source_of
from manager.http.proxies import CONNECTION
from manager.http.turnstile import HEAD_UNIT_BYTES
from manager.usecases.connections import OfConnections

SESSION_COOKIE: Final = "__Host-certcast"
"""With this prefix, browsers refuse a cookie unless it is Secure, for this host only and for every path (RFC
6265bis 4.1.3.2).
"""

COOKIES_MAX: Final = 200
"""Browsers keep at most 180 for one site, whatever applications it serves."""

COOKIES_MAX_BYTES: Final = 12 * 1024

CONTENT_TYPE_MAX_BYTES: Final = 256
"""The library's parser takes quadratic time for the parameters. A multipart form's boundary has at most 70
characters.
"""

KNOWN_MAX: Final = 4096
"""How many credentials, and how many sources, are remembered; the least recently used is forgotten first."""

REGULAR_S: Final = 3600.0
"""How long a source counts as known after a user authenticated from there."""


ONCE: Final = (
    hdrs.AUTHORIZATION,
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_ENCODING,
    hdrs.EXPECT,
    "HX-Request",
    "Last-Event-ID",
    hdrs.ORIGIN,
    "Sec-Fetch-Site",
    "X-HTTP-Method-Override",
)
"""The single-valued fields read here (RFC 9110 5.3): given two, a proxy might use one and we the other."""


@dataclass(frozen=True, slots=True)
class HeadFault:
    """The reason a head is refused, and the status."""

    status: int
    text: str


def fault_of(request: web.BaseRequest) -> HeadFault | None:
    """Return the fault for which this request's head is refused, or None."""
    return _framing_fault(request) or _doubled_fault(request) or _size_fault(request)


def _framing_fault(request: web.BaseRequest) -> HeadFault | None:
    """Refuse framing that a proxy may read differently from the parser, which checks the last coding only."""
    if request.version not in {HttpVersion10, HttpVersion11}:
        return HeadFault(505, "only HTTP/1.1 and HTTP/1.0 are supported")
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    if codings and request.version < HttpVersion11:
        # RFC 9112 6.1: a message of HTTP/1.0 with one is to be treated as wrongly framed
        return HeadFault(400, "HTTP/1.0 does not allow Transfer-Encoding")
    if codings and [each.lower() for each in codings] != ["chunked"]:
        # RFC 9112 6.1: a coding that is not understood is answered with 501
        return HeadFault(501, "the only supported Transfer-Encoding is 'chunked'")
    return None


def _doubled_fault(request: web.BaseRequest) -> HeadFault | None:
    for name in ONCE:
        if len(request.headers.getall(name, ())) > 1:
            return HeadFault(400, f"the request has {name} more than once; give it once")
    return None


def _size_fault(request: web.BaseRequest) -> HeadFault | None:
    if sum(map(len, request.headers.getall(hdrs.CONTENT_TYPE, ()))) > CONTENT_TYPE_MAX_BYTES:
        return HeadFault(431, f"the Content-Type is longer than {CONTENT_TYPE_MAX_BYTES} bytes")
    cookies = request.headers.getall(hdrs.COOKIE, ())
    if (
        sum(map(len, cookies)) > COOKIES_MAX_BYTES
        or sum(each.count(";") + 1 for each in cookies) > COOKIES_MAX
    ):
        return HeadFault(
            431,
            f"the request has more than {COOKIES_MAX} cookies or {COOKIES_MAX_BYTES} bytes of them; "
            "delete the cookies of this host in your browser, and try again",
        )
    return None


def weight_of(request: web.BaseRequest) -> float:
    """Return the weight of a request at the turnstile."""
    size = len(request.raw_path) + sum(len(name) + len(text) for name, text in request.raw_headers)
    return 1.0 + size // HEAD_UNIT_BYTES


def cookie(request: web.BaseRequest, name: str) -> str:
    """Return the cookie of this name, or ""."""
    found = ""
    for each in request.headers.getall(hdrs.COOKIE, ()):
        for pair in each.split(";"):
            key, equals, text = pair.partition("=")
            if equals and key.strip() == name:
                found = text.strip().strip('"')
    return found


class KnownCredentials:
    """Digests of credentials that recently authenticated a user.

    They prove nothing: a request with one merely does not wait with strangers'. A password is known only on
    the connection it came on, for as long as that lasts. Elsewhere, an attacker guessing passwords would see
    the right one answered before wrong ones, whatever the answer.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._users: OrderedDict[bytes, str] = OrderedDict()
        self._on_connections: OfConnections[bytes, str] = OfConnections()
        self._proven_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._users) + len(self._on_connections)

    def has_proven(self, source: str) -> bool:
        """Whether a user recently authenticated from this source, which then does not wait with strangers."""
        return time.monotonic() - self._proven_s.get(source, -inf) < REGULAR_S

    def find(self, request: web.BaseRequest) -> str | None:
        """Return the user this request's credential authenticated, or None."""
        given = _given(request)
        if not given:
            return None
        if not _is_password(given):
            return self._users.get(self._digest(given))
        connection = request[CONNECTION]
        return None if connection is None else self._on_connections.get(connection, self._digest(given))

    def note(self, request: web.BaseRequest, user: str) -> None:
        """Note that this request's credential authenticated a user."""
        source = source_of(request.remote or "")
        if source != UNKNOWN:
            self._proven_s[source] = time.monotonic()
            self._proven_s.move_to_end(source)
            if len(self._proven_s) > KNOWN_MAX:
                self._proven_s.popitem(last=False)
        given = _given(request)
        if not given:
            return
        digest = self._digest(given)
        if _is_password(given):
            if (connection := request[CONNECTION]) is not None:
                self._on_connections.note(connection, digest, user)
            return
        self._users[digest] = user
        self._users.move_to_end(digest)
        if len(self._users) > KNOWN_MAX:
            self._users.popitem(last=False)

    def _digest(self, given: str) -> bytes:
        return hashlib.blake2b(given.encode(errors="surrogatepass"), digest_size=16, key=self._salt).digest()


def _given(request: web.BaseRequest) -> str:
    return request.headers.get(hdrs.AUTHORIZATION) or cookie(request, SESSION_COOKIE)


def _is_password(given: str) -> bool:
    return given.lower().startswith("basic")
