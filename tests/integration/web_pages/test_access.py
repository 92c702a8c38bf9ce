import asyncio
import re
from pathlib import Path

import pytest

from common.api.codes import Role
from common.errors import AccessError
from manager.http.bodies import STRANGER_MAX_BYTES
from manager.http.heads import SESSION_COOKIE as COOKIE
from manager.usecases import sessions
from manager.usecases.setup import LINK_S
from manager.usecases.workers import Workers
from manager.web.site import PAGES
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.web import Visitor, visitor
from tests.patience import PATIENCE_S

ADMIN = USERS[Role.ADMINISTRATOR]
POSTS = [page for page in PAGES if page.method == "POST" and page.role is not None]
SEEN = [page for page in PAGES if page.method == "GET" and page.role is not None]


@pytest.fixture
async def api(tmp_path: Path):
    # never used here, so no process is started
    async with Workers() as workers, real_api(tmp_path, workers) as client:
        yield client


@pytest.fixture
async def clock(api: ApiClient, monkeypatch):
    now = [api.context.clock()]
    object.__setattr__(api.context, "clock", lambda: now[0])
    return now


def cookie(browser: Visitor) -> str:
    return next(each.value for each in browser.session.cookie_jar if each.key == COOKIE)


def example(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


async def test_no_page_is_shown_to_who_is_not_signed_in(api: ApiClient):
    async with visitor(api) as browser:
        for page in SEEN:
            assert (await browser.get(example(page.path))).path.startswith("/sign-in?next="), page.path


async def test_every_form_is_refused_without_a_session_without_its_token_and_from_another_site(
    api: ApiClient,
):
    async with visitor(api) as stranger:
        csrf = (await stranger.get("/sign-in")).hidden["csrf"]
        for page in POSTS:
            answer = await stranger.post(example(page.path), csrf=csrf)
            assert answer.status == 401, page.path
            assert "nothing was changed" in answer.text
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        csrf = (await browser.get("/")).hidden["csrf"]
        for page in POSTS:
            path = example(page.path)
            for wrong in ("", "0" * 64):
                assert (await browser.post(path, csrf=wrong)).status == 403, page.path
            answer = await browser.post(path, csrf=csrf, headers={"Sec-Fetch-Site": "cross-site"})
            assert answer.status == 403, page.path
            assert "A page of another site" in answer.text


async def test_a_page_is_refused_to_a_lesser_role(api: ApiClient):
    for role, lesser in ((Role.OPERATOR, Role.READ_ONLY), (Role.ADMINISTRATOR, Role.OPERATOR)):
        async with visitor(api, lesser) as browser:
            for page in PAGES:
                if page.role is role:
                    act = browser.get if page.method == "GET" else browser.post
                    assert (await act(example(page.path))).status == 403, page.path


async def test_signing_in_leads_to_the_page_that_was_wanted_and_gives_another_cookie(api: ApiClient):
    async with visitor(api) as browser:
        asked = await browser.get("/?from=mail")
        before = cookie(browser)
        answer = await browser.post(
            "/sign-in", {"name": ADMIN, "password": PASSWORD, "next": asked.hidden["next"]}
        )
        assert (answer.status, answer.path) == (200, "/?from=mail")
        assert cookie(browser) != before
        assert ("administrator", "session.started") in [
            (act.actor, act.action) for act in await api.context.store.audit.list()
        ]


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/\tx", "javascript:x"]
)
async def test_signing_in_never_leads_to_another_site(api: ApiClient, path: str):
    async with visitor(api) as browser:
        answer = await browser.post(
            "/sign-in", {"name": ADMIN, "password": PASSWORD, "next": path}, allow_redirects=False
        )
        assert answer.headers["Location"] == "/"


async def test_the_cookie_is_of_this_host_alone_out_of_reach_of_scripts_and_stored_as_a_hash(api: ApiClient):
    async with visitor(api) as browser:
        answer = await browser.post("/sign-in", {"name": ADMIN, "password": PASSWORD}, allow_redirects=False)
        said = answer.headers["Set-Cookie"]
        assert said.startswith("__Host-")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=Lax"} <= set(said.split("; "))
        assert "Domain" not in said
        token = cookie(browser)
        assert api.directory.joinpath("certcast.db").exists()
        for path in api.directory.glob("*"):
            assert token.encode() not in path.read_bytes(), path


async def test_a_wrong_password_keeps_the_name_and_never_the_password(api: ApiClient):
    async with visitor(api) as browser:
        answer = await browser.post("/sign-in", {"name": ADMIN, "password": "not-the-right-password"})
        assert answer.status == 401
        assert answer.values["name"] == [ADMIN]
        assert "not-the-right-password" not in answer.html


async def test_guessing_is_stopped_with_when_to_try_again(api: ApiClient):
    async with visitor(api) as browser:
        for _ in range(10):
            await browser.post("/sign-in", {"name": ADMIN, "password": "a-wrong-password"})
        answer = await browser.post("/sign-in", {"name": ADMIN, "password": PASSWORD})
        assert answer.status == 429
        assert "try again in 1 s" in answer.text


async def test_a_session_ends_unused_and_in_any_case_after_its_life(api: ApiClient, clock):
    async with visitor(api, Role.READ_ONLY) as browser:
        clock[0] += sessions.IDLE_S - 1
        assert (await browser.get("/")).path == "/"
        clock[0] += sessions.IDLE_S - 1
        assert (await browser.get("/")).path == "/"
        clock[0] += sessions.IDLE_S + 1
        assert (await browser.get("/")).path.startswith("/sign-in")
    async with visitor(api, Role.READ_ONLY) as browser:
        end_s = clock[0] + sessions.LIFE_S
        while clock[0] + 1200 < end_s:
            clock[0] += 1200
            assert (await browser.get("/")).path == "/"
        clock[0] = end_s
        assert (await browser.get("/")).path.startswith("/sign-in")


async def test_signing_out_ends_the_session_in_the_store(api: ApiClient):
    async with visitor(api, Role.READ_ONLY) as browser:
        token = cookie(browser)
        answer = await browser.post("/sign-out")
        assert "You are signed out." in answer.text
        assert await api.use_cases.sessions.find(token) is None


async def test_a_new_password_or_removal_signs_a_user_out(api: ApiClient):
    async with visitor(api, Role.OPERATOR) as one, visitor(api, Role.READ_ONLY) as two:
        await api.use_cases.users.set_password(
            USERS[Role.OPERATOR], password="another-long-password", actor="test"
        )
        await api.use_cases.users.remove(USERS[Role.READ_ONLY], actor="test")
        assert (await one.get("/")).path.startswith("/sign-in")
        assert (await two.get("/")).path.startswith("/sign-in")


async def test_one_user_has_few_sessions_and_the_longest_unused_goes(api: ApiClient, clock):
    user = (await api.context.store.users.get(ADMIN))[0]
    tokens = []
    for _ in range(sessions.PER_USER_MAX + 1):
        clock[0] += 1
        tokens.append(await api.use_cases.sessions.start(user, address="192.0.2.1"))
    found = [await api.use_cases.sessions.find(token) is not None for token in tokens]
    assert found == [False, *[True] * sessions.PER_USER_MAX]


async def test_the_set_up_link_makes_the_first_administrator_once_and_signs_in(api: ApiClient, clock):
    for name in USERS.values():
        await api.context.store.users.remove(name)
    old = await api.use_cases.setup.open()
    clock[0] += LINK_S
    token = await api.use_cases.setup.open()
    async with visitor(api) as browser:
        assert "set-up link" in (await browser.get("/")).text
        assert (await browser.get(f"/set-up/{old}")).status == 403
        shown = await browser.get(f"/set-up/{token}")
        refused = await browser.post(
            f"/set-up/{token}",
            {"name": "first", "password": PASSWORD, "again": "differs"},
            csrf=shown.hidden["csrf"],
        )
        assert (refused.status, refused.values["name"]) == (400, ["first"])
        assert "differ" in refused.text
        assert PASSWORD not in refused.html
        answer = await browser.post(
            f"/set-up/{token}",
            {"name": "first", "password": PASSWORD, "again": PASSWORD},
            csrf=shown.hidden["csrf"],
        )
        assert "Welcome, first." in answer.text
        assert [(each.name, each.role) for each in await api.use_cases.users.list()] == [
            ("first", Role.ADMINISTRATOR)
        ]
    async with visitor(api) as other:
        assert (await other.get(f"/set-up/{token}")).status == 403
        assert await api.use_cases.setup.open() is None


async def test_a_set_up_link_expires(api: ApiClient, clock):
    for name in USERS.values():
        await api.context.store.users.remove(name)
    token = await api.use_cases.setup.open()
    clock[0] += LINK_S
    with pytest.raises(AccessError):
        await api.use_cases.setup.check(token)


async def test_an_unknown_address_is_a_page_with_a_way_on(api: ApiClient):
    async with visitor(api) as browser:
        answer = await browser.get("/nothing-here")
        assert answer.status == 404
        assert "This page does not exist." in answer.text


async def test_static_files_are_kept_for_a_year_under_a_name_that_their_content_makes(api: ApiClient):
    async with visitor(api) as browser:
        page = await browser.get("/sign-in")
        (sheet,) = re.findall(r'href="(/static/certcast.css[^"]*)"', page.html)
        answer = await browser.get(sheet)
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
        assert (await browser.get("/static/certcast.css?v=old")).headers["Cache-Control"] == "no-cache"
        assert (await browser.get("/static/../visit.py")).status == 404


async def test_pages_are_never_cached_and_allow_no_inline_script_or_foreign_source(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        answer = await browser.get("/")
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=", answer.html)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.html)


async def test_a_stranger_may_send_little(api: ApiClient):
    async with visitor(api) as browser:
        answer = await browser.post("/sign-in", {"name": "x" * STRANGER_MAX_BYTES, "password": "y"})
        assert answer.status == 413
        answer = await browser.post("/sign-in", {"name": "x"}, files={"f": ("f", b"x" * STRANGER_MAX_BYTES)})
        assert answer.status == 415


async def test_a_form_that_does_not_arrive_is_not_waited_for(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.bodies.BODY_TIMEOUT_S", 0.1)

    async def dripping():
        yield b"csrf=1&"
        await asyncio.sleep(2 * PATIENCE_S)

    async with visitor(api) as browser, asyncio.timeout(PATIENCE_S):
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "100"}
        request = browser.session.post(f"{browser.url}/sign-in", data=dripping(), headers=headers)
        async with request as answer:
            assert answer.status == 400
            assert "did not arrive within" in await answer.text()
