"""Requests to the composed application from whoever asks, and what their answers say of who may ask."""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from manager.http.middleware import GUARD
from manager.http.turnstile import Pace, Turnstile
from manager.usecases.throttle import Throttle
from tests.attacks.credentials import cookie_headers
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api

NAMES = {
    "{name}": "nobody",
    "{id}": "999999",
    "{slot}": "server",
    "{generation}": "9",
    "{token}": "x" * 43,
    "{rest}": "no-such-page",
}


@asynccontextmanager
async def unhurried_api(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiClient]:
    """Run an application that holds nobody back: hundreds of wrong credentials and thousands of strangers' requests come from one address.

    Who is held back then is tried elsewhere.
    """
    monkeypatch.setattr(Throttle, "check", lambda _self, _user, _source: None)
    async with real_api(directory, InPlace(), watched=False) as client:
        guard = client.server.app[GUARD]
        guard.strangers = guard.regulars = Turnstile(
            Pace(burst=1e6, per_s=1e6, each_burst=1e6, each_per_s=1e6)
        )
        yield client


def concrete(path: str) -> str:
    path = path.replace("/static/{name}", "/static/certcast.css")
    for part, value in NAMES.items():
        path = path.replace(part, value)
    return path


async def answer_of(
    api: ApiClient, method: str, url: str, headers: dict[str, str], *, body: Any = None
) -> tuple[int, str]:
    """Ask, and return the status and the answer's text; streams are not read."""
    is_page = not url.startswith(("/api/", "//api/", "/oauth/"))
    token = headers.get("Cookie", "").partition("=")[2] or secrets.token_urlsafe(32)
    sent: dict[str, Any] = {}
    if method in {"POST", "PUT", "PATCH", "DELETE"}:
        if is_page:
            headers = {**cookie_headers(token), **headers}
            sent["data"] = {
                "csrf": hmac.digest(token.encode(), b"csrf", hashlib.sha256).hex(),
                **(body or {}),
            }
        else:
            sent["json"] = body or {}
    async with api.session.request(
        method, api.url + url, headers=headers, allow_redirects=False, **sent
    ) as answer:
        if answer.content_type == "text/event-stream":
            answer.close()
            return answer.status, ""
        text = (await answer.read()).decode(errors="replace")
        return answer.status, f"{answer.headers.get('Location', '')}\n{text}"


def verdict(status: int, text: str) -> str:
    # 501: a method that nothing at this path implements
    assert status < 500 or status == 501, text[:500]
    if "You are not signed in" in text or text.startswith("/sign-in?next"):
        return "out"
    if status == 401 and ("unauthenticated" in text or "/api/admin" in text or not text.strip()):
        return "out"
    if status == 403 and ("password_required" in text or "Confirm your password" in text):
        return "password"
    return "forbidden" if status == 403 else "in"


async def objects(api: ApiClient) -> list[str]:
    use_cases, store = api.use_cases, api.context.store
    return [
        *(each.name for each in await use_cases.users.list()),
        *(each.name for each in await store.nodes.list()),
        *(str(each.id) for each in await use_cases.users.tokens(None)),
        *(each.name for each in await use_cases.clients.list()),
    ]
