import re
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.api.codes import Role
from common.errors import NotFoundError
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.web import visitor

ADMIN, OPERATOR = USERS[Role.ADMINISTRATOR], USERS[Role.OPERATOR]
NEW = "an-entirely-new-password"


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


def public_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_an_administrator_adds_a_user_who_can_sign_in(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        answer = await browser.post(
            "/users/new", {"name": "ada@example.com", "role": "operator", "password": NEW, "again": NEW}
        )
        assert "ada@example.com can sign in now." in answer.text
        assert 'href="/users/named/ada%40example.com"' in answer.html
        assert (await browser.get("/users/named/ada%40example.com")).status == 200
    async with visitor(api) as other:
        await other.post("/sign-in", {"name": "ada@example.com", "password": NEW})
        assert "operator" in (await other.get("/users/me")).text


async def test_a_refused_user_comes_back_with_all_findings_and_never_the_password(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        answer = await browser.post(
            "/users/new", {"name": "a b", "role": "operator", "password": "short-one", "again": "other"}
        )
        assert answer.status == 400
        for part in ("A user's name has", "at least 12 characters", "The two passwords differ"):
            assert part in answer.text
        assert (answer.values["name"], answer.values["role"]) == (["a b"], ["operator"])
        assert "short-one" not in answer.html
        taken = {"name": OPERATOR, "role": "operator", "password": NEW, "again": NEW}
        assert (await browser.post("/users/new", taken)).status == 409


async def test_a_role_is_changed_at_once_and_never_the_own(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser, visitor(api, Role.OPERATOR) as other:
        change = {"role": "read-only", "seen": "operator"}
        assert (await other.get("/push?all=1")).status == 200
        assert "is now read-only" in (await browser.post(f"/users/named/{OPERATOR}/role", change)).text
        assert (await other.get("/push?all=1")).status == 403
        stale = await browser.post(
            f"/users/named/{OPERATOR}/role", {"role": "administrator", "seen": "operator"}
        )
        assert stale.status == 409
        assert "Somebody else made operator read-only in the meantime" in stale.text
        own = await browser.post(f"/users/named/{ADMIN}/role", {"role": "read-only", "seen": "administrator"})
        assert own.status == 409
        assert "another administrator can" in own.text
        assert (
            await browser.post(f"/users/named/{OPERATOR}/role", {"role": "king", "seen": "x"})
        ).status == 400


async def test_an_administrator_replaces_a_password_and_deletes_a_user_but_never_the_own(api: ApiClient):
    users = api.use_cases.users
    async with visitor(api, Role.ADMINISTRATOR) as browser, visitor(api, Role.OPERATOR) as other:
        wrong = await browser.post(f"/users/named/{OPERATOR}/password", {"password": NEW, "again": "x"})
        assert wrong.status == 400
        done = await browser.post(f"/users/named/{OPERATOR}/password", {"password": NEW, "again": NEW})
        assert (
            "earlier sessions have ended, and earlier API tokens and unused join tokens are revoked"
            in done.text
        )
        await users.new_token(OPERATOR, label="renewal script", days=9, scope=None, actor="test")
        assert (await other.get("/")).path.startswith("/sign-in")
        assert (await users.passwords.prove(OPERATOR, NEW, address="192.0.2.1")).user.name == OPERATOR
        asked = await browser.get(f"/users/named/{OPERATOR}/remove")
        assert "renewal script" in asked.text
        assert (await browser.post(f"/users/named/{ADMIN}/remove")).status == 409
        assert "is deleted" in (await browser.post(f"/users/named/{OPERATOR}/remove")).text
        with pytest.raises(NotFoundError):
            await api.context.store.users.get(OPERATOR)


async def test_the_own_password_is_changed_with_the_current_one_and_other_sessions_end(api: ApiClient):
    async with visitor(api, Role.READ_ONLY) as here, visitor(api, Role.READ_ONLY) as there:
        wrong = {"current": "not-the-password", "password": NEW, "again": NEW}
        answer = await here.post("/users/me/password", wrong)
        assert answer.status == 401
        assert "The current password is wrong" in answer.text
        differs = {"current": PASSWORD, "password": NEW, "again": "x"}
        assert (await here.post("/users/me/password", differs)).status == 400
        answer = await here.post("/users/me/password", {**differs, "again": NEW})
        assert "Your password was changed" in answer.text
        assert answer.path == "/users/me"
        assert (await there.get("/")).path.startswith("/sign-in")


async def test_a_token_is_shown_once_works_and_is_deleted(api: ApiClient):
    async with visitor(api, Role.READ_ONLY) as browser:
        bad = await browser.post("/users/me/tokens", {"label": " ", "days": "0"})
        assert bad.status == 400
        assert "Enter a label" in bad.text
        assert "is valid for 1 to" in bad.text
        made = await browser.post("/users/me/tokens", {"label": "script", "days": "30", "scope": "read-only"})
        token = made.html.partition('aria-label="Token">')[2].partition("<")[0]
        assert (await api.use_cases.users.by_token(token, address="192.0.2.1")).user.role is Role.READ_ONLY
        listed = await browser.get("/users/me")
        assert "script" in listed.text
        assert token not in listed.html
        (record,) = await api.use_cases.users.tokens(USERS[Role.READ_ONLY])
        where = f"/users/tokens/{record.id}/remove"
        assert "are refused" in (await browser.get(where)).text
        async with visitor(api, Role.OPERATOR) as stranger:
            assert (await stranger.post(where)).status == 404
        assert "is revoked" in (await browser.post(where)).text
        assert await api.use_cases.users.tokens(USERS[Role.READ_ONLY]) == []


async def test_who_may_not_see_the_users_is_led_to_the_own_account(api: ApiClient):
    async with visitor(api, Role.OPERATOR) as browser:
        answer = await browser.get("/users")
        assert answer.path == "/users/me"
        assert ADMIN not in answer.text
        assert (await browser.get(f"/users/named/{ADMIN}")).status == 403


async def test_a_program_is_registered_with_its_public_key_alone_and_deleted(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        secret = pki.current_leaf(None, ["x"]).key_pem
        answer = await browser.post(
            "/users/clients/new", {"name": "terraform", "role": "operator", "public_key": secret}
        )
        assert answer.status == 400
        assert answer.values["name"] == ["terraform"]
        assert "PRIVATE KEY" not in answer.html
        answer = await browser.post(
            "/users/clients/new", {"name": "terraform", "role": "operator", "public_key": public_key()}
        )
        (record,) = await api.use_cases.clients.list()
        assert record.client_id in answer.text
        assert "it is refused until" in (await browser.get("/users/clients/terraform/remove")).text
        assert "terraform is deleted" in (await browser.post("/users/clients/terraform/remove")).text
        assert await api.use_cases.clients.list() == []


async def test_a_program_that_another_client_named_in_words_is_deleted_by_its_link(api: ApiClient):
    name = "CI/CD of the platform: 100 %"
    await api.use_cases.clients.add_with_key(name, api_role_id=1, actor="test")
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        (link,) = re.findall(r'href="(/users/clients/[^"]*/remove)"', (await browser.get("/users")).html)
        assert name in (await browser.get(link)).text
        assert (await browser.post(link)).status == 200
    assert await api.use_cases.clients.list() == []
    await api.use_cases.clients.add_with_key(name, api_role_id=1, actor="test")
    assert (await api.call("DELETE", f"oauth-clients/{quote(name, safe='')}"))[0] == 204
