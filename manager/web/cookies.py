"""Cookies of the pages: the session's token, the device on which a user signed in, and the sentence for the page that comes next.

Decides how long each lasts and with which requests it is sent. Invariant: a browser sends none of them over plain HTTP, nor to another host.
"""

import base64
from typing import Final

from aiohttp import web

from manager.http.heads import SESSION_COOKIE, cookie
from manager.usecases.devices import DEVICE_S

DEVICE_COOKIE: Final = "__Host-certcast-device"
"""By which a browser is known in which a user signed in before."""

FLASH_COOKIE: Final = "__Host-certcast-flash"
FLASH_COOKIE_S: Final = 60
FLASH_MAX_CHARS: Final = 1000


def session_of(request: web.Request) -> str:
    """Return the token that the browser keeps, "" for none."""
    return cookie(request, SESSION_COOKIE)


def set_session(response: web.StreamResponse, token: str) -> None:
    """Let the browser keep a token until it is closed."""
    response.set_cookie(SESSION_COOKIE, token, path="/", secure=True, httponly=True, samesite="Lax")


def device_of(request: web.Request) -> str:
    """Return what the browser keeps of an earlier sign-in, "" for nothing."""
    return cookie(request, DEVICE_COOKIE)


def set_device(response: web.StreamResponse, device: str) -> None:
    """Let the browser keep that a user has signed in; it is sent from this site's own pages only, as nothing else signs in."""
    response.set_cookie(
        DEVICE_COOKIE, device, path="/", secure=True, httponly=True, samesite="Strict", max_age=int(DEVICE_S)
    )


def flash_of(request: web.Request) -> str:
    """Return the sentence for the page that comes next, "" for none."""
    try:
        return base64.urlsafe_b64decode(cookie(request, FLASH_COOKIE)).decode()[:FLASH_MAX_CHARS]
    except ValueError:
        return ""


def set_flash(response: web.StreamResponse, message: str) -> None:
    """Let the browser keep a sentence for the page that comes next."""
    shown = message if len(message) <= FLASH_MAX_CHARS else f"{message[: FLASH_MAX_CHARS - 1]}…"
    text = base64.urlsafe_b64encode(shown.encode()).decode()
    response.set_cookie(
        FLASH_COOKIE, text, path="/", secure=True, httponly=True, samesite="Lax", max_age=FLASH_COOKIE_S
    )


def clear_flash(response: web.StreamResponse) -> None:
    """Let the browser forget the sentence, which was shown."""
    response.del_cookie(FLASH_COOKIE, path="/", secure=True)
