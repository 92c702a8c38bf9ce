"""Cookies of the pages: the session's token, the known device, and a message for the next page.

Decides how long each lasts and which requests carry it. Invariant: browsers send none of them over plain
HTTP, nor to another host.
"""

import base64
from typing import Final

from aiohttp import web

from manager.http.heads import SESSION_COOKIE, cookie
from manager.usecases.devices import DEVICE_S

DEVICE_COOKIE: Final = "__Host-certcast-device"
"""Identifies a browser in which a user signed in before."""

FLASH_COOKIE: Final = "__Host-certcast-flash"
FLASH_COOKIE_S: Final = 60
FLASH_MAX_CHARS: Final = 1000


def session_of(request: web.Request) -> str:
    """Return the browser's session token, "" for none."""
    return cookie(request, SESSION_COOKIE)


def set_session(response: web.StreamResponse, token: str) -> None:
    """Store a session token in the browser until it is closed."""
    response.set_cookie(SESSION_COOKIE, token, path="/", secure=True, httponly=True, samesite="Lax")


def device_of(request: web.Request) -> str:
    """Return the browser's device token from an earlier sign-in, "" for none."""
    return cookie(request, DEVICE_COOKIE)


def set_device(response: web.StreamResponse, device: str) -> None:
    """Store in the browser that a user has signed in; only this site's own pages send it."""
    response.set_cookie(
        DEVICE_COOKIE, device, path="/", secure=True, httponly=True, samesite="Strict", max_age=int(DEVICE_S)
    )


def flash_of(request: web.Request) -> str:
    """Return the message for the next page, "" for none."""
    try:
        return base64.urlsafe_b64decode(cookie(request, FLASH_COOKIE)).decode()[:FLASH_MAX_CHARS]
    except ValueError:
        return ""


def set_flash(response: web.StreamResponse, message: str) -> None:
    """Store a message for the next page in the browser."""
    shown = message if len(message) <= FLASH_MAX_CHARS else f"{message[: FLASH_MAX_CHARS - 1]}…"
    text = base64.urlsafe_b64encode(shown.encode()).decode()
    response.set_cookie(
        FLASH_COOKIE, text, path="/", secure=True, httponly=True, samesite="Lax", max_age=FLASH_COOKIE_S
    )


def clear_flash(response: web.StreamResponse) -> None:
    """Remove the message, which was shown."""
    response.del_cookie(FLASH_COOKIE, path="/", secure=True)
