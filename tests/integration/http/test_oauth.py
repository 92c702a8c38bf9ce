"""Clients that sign in with a key of their own, from registration to both APIs, and every way in which that is refused."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from common.api.codes import Role
from common.ids import MANAGEMENT_NODE
from manager.http.oauth import FORM_MAX_BYTES
from manager.usecases import clients as subject
from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api
from tests.oauth import claims, forge, form, public_pem, sign

KEY = pki.make_key()


@pytest.fixture
async def api(tmp_path: Path):
    async with Workers() as workers, real_api(tmp_path, workers) as client:
        await client.context.store.nodes.add(
            MANAGEMENT_NODE, "management", names=["manager.example.com"], addresses=[], now_s=0
        )
        yield client


async def register(api: ApiClient, name: str = "terraform", role: str = "administrator") -> str:
    body = {"name": name, "role": role, "public_key": public_pem(KEY)}
    status, made = await api.call("POST", "oauth-clients", body)
    assert status == 201
    return made["client_id"]


async def ask(api: ApiClient, fields: Any, **options: Any) -> tuple[int, dict]:
    async with api.session.post(f"{api.url}/oauth/token/", data=fields, **options) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json()


async def ask_for(api: ApiClient, client_id: str, **changes: Any) -> tuple[int, dict]:
    return await ask(api, form(sign(KEY, claims(client_id, time.time(), **changes))))


async def token_of(api: ApiClient, client_id: str) -> dict[str, str]:
    status, answer = await ask_for(api, client_id)
    assert status == 200, answer
    return {"Authorization": f"Bearer {answer['access_token']}"}


async def test_a_client_gets_a_token_that_both_apis_take(api: ApiClient):
    client_id = await register(api)
    status, answer = await ask_for(api, client_id)
    assert (status, answer["expires_in"], answer["token_type"]) == (200, 900, "Bearer")
    assert set(answer) == {"access_token", "expires_in", "token_type"}
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert (await api.call("GET", "whoami", role=None, headers=bearer))[1] == {
        "user": "oauth:terraform",
        "role": "administrator",
    }
    url = f"{api.url}/api/admin/configuration/v1/system_location/"
    async with api.session.post(url, json={"name": "here"}, headers=bearer) as made:
        assert made.status == 201
    acts = (await api.call("GET", "audit"))[1]["entries"]
    assert {("administrator", "oauth_client.added")} <= {(act["actor"], act["action"]) for act in acts}


async def test_a_client_can_do_what_its_role_can_and_no_more(api: ApiClient):
    bearer = await token_of(api, await register(api, role="operator"))
    assert (await api.call("POST", "push", {"nodes": []}, role=None, headers=bearer))[0] == 200
    assert (await api.call("GET", "users", role=None, headers=bearer))[0] == 403
    assert (await api.call("POST", "oauth-clients", {}, role=None, headers=bearer))[0] == 403


async def test_a_client_with_a_users_name_is_not_that_user(api: ApiClient):
    bearer = await token_of(api, await register(api, name="administrator", role="read-only"))
    assert (await api.call("GET", "whoami", role=None, headers=bearer))[1]["role"] == "read-only"
    status, answer = await api.call("GET", "tokens", role=None, headers=bearer)
    assert (status, answer) == (200, {"tokens": []})


async def test_an_assertion_works_once(api: ApiClient):
    client_id = await register(api)
    token = sign(KEY, claims(client_id, time.time()))
    answers = await asyncio.gather(*(ask(api, form(token)) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 401, 401, 401]
    assert {answer["error"] for status, answer in answers if status == 401} == {"invalid_client"}
    other = await register(api, name="another")
    assert (await ask_for(api, other, jti="same"))[0] == 200
    assert (await ask_for(api, client_id, jti="same"))[0] == 200, "a jti is its client's own"


@pytest.mark.parametrize(
    "make",
    [
        lambda client_id: forge(claims(client_id, time.time()), algorithm="none"),
        lambda client_id: forge(claims(client_id, time.time()), algorithm="HS256", secret=public_pem(KEY)),
        lambda client_id: sign(pki.make_key(), claims(client_id, time.time())),
        lambda _: sign(KEY, claims("0" * 32, time.time())),
        lambda client_id: sign(
            KEY, claims(client_id, time.time(), aud="https://other.example.com/oauth/token/")
        ),
        lambda client_id: sign(KEY, claims(client_id, time.time() - 7200)),
        lambda client_id: sign(KEY, claims(client_id, time.time(), exp=None)),
        lambda _: "not a token",
    ],
)
async def test_what_proves_nothing_gives_nothing(api: ApiClient, make):
    status, answer = await ask(api, form(make(await register(api))))
    assert (status, answer["error"], "access_token" in answer) == (401, "invalid_client", False)


async def test_an_unknown_client_and_a_wrong_signature_are_told_in_the_same_words(api: ApiClient):
    client_id = await register(api)
    unknown = await ask(api, form(sign(KEY, claims("0" * 32, time.time()))))
    forged = await ask(api, form(sign(pki.make_key(), claims(client_id, time.time()))))
    assert unknown == forged


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
    ],
)
async def test_another_kind_of_request_is_refused_by_its_code(api: ApiClient, changes: dict, code: str):
    status, answer = await ask(api, form("x", **changes))
    assert (status, answer["error"]) == (400, code)


async def test_bodies_are_small_forms_without_repetition(api: ApiClient):
    assert (await ask(api, b"{}", headers={"Content-Type": "application/json"}))[0] == 400
    assert (await ask(api, [("grant_type", "a"), ("grant_type", "b")]))[0] == 400
    assert (await ask(api, {str(number): "x" for number in range(30)}))[0] == 400
    assert (await ask(api, {"x": "x" * FORM_MAX_BYTES}))[0] == 413
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await ask(api, b"\xff=\xff", headers=form_type))[0] == 400


async def test_a_client_gets_a_bounded_number_of_tokens(api: ApiClient, monkeypatch):
    monkeypatch.setattr(subject, "TOKENS_MAX", 2)
    client_id = await register(api)
    assert [(await ask_for(api, client_id))[0] for _ in range(2)] == [200, 200]
    async with api.session.post(
        f"{api.url}/oauth/token/", data=form(sign(KEY, claims(client_id, time.time())))
    ) as answer:
        assert (answer.status, (await answer.json())["error"]) == (429, "slow_down")
        assert int(answer.headers["Retry-After"]) > 0


async def test_tokens_end_with_their_time_and_with_their_client(api: ApiClient, monkeypatch):
    monkeypatch.setattr(subject, "ACCESS_S", -1.0)
    client_id = await register(api)
    expired = await token_of(api, client_id)
    assert (await api.call("GET", "whoami", role=None, headers=expired))[0] == 401
    monkeypatch.undo()
    live = await token_of(api, client_id)
    assert (await api.call("GET", "whoami", role=None, headers=live))[0] == 200
    assert [each["name"] for each in (await api.call("GET", "oauth-clients"))[1]["clients"]] == ["terraform"]
    assert (await api.call("DELETE", "oauth-clients/terraform"))[0] == 204
    assert (await api.call("GET", "whoami", role=None, headers=live))[0] == 401
    assert (await ask_for(api, client_id))[0] == 401
    assert (await api.call("DELETE", "oauth-clients/terraform"))[0] == 404


async def test_a_manager_that_has_no_name_takes_no_assertion(api: ApiClient):
    client_id = await register(api)
    await api.context.store.nodes.remove(MANAGEMENT_NODE)
    assert (await ask_for(api, client_id))[0] == 401


async def test_a_name_in_the_certificate_that_is_shown_is_the_managers_too(api: ApiClient):
    client_id = await register(api)
    _, issuer = pki.current_ca("Front")
    made = pki.current_leaf(issuer, ["front.example.com"])
    body = {"certificate": made.certificate_pem, "private_key": made.key_pem, "nodes": ["management"]}
    audience = "https://front.example.com/oauth/token/"
    assert (await ask_for(api, client_id, aud=audience))[0] == 401
    assert (await api.call("POST", "certificates", body))[0] in {200, 201}
    assert (await ask_for(api, client_id, aud=audience, jti="2"))[0] == 200


async def test_only_public_keys_on_the_right_curve_are_registered_and_names_are_unique(api: ApiClient):
    await register(api)
    body = {"name": "x", "role": "operator"}
    for key in (pki.make_leaf(None).key_pem, public_pem(pki.make_rsa_key()), "x"):
        status, answer = await api.call("POST", "oauth-clients", {**body, "public_key": key})
        assert (status, answer["error"]["field"]) == (400, "public_key")
    again = {**body, "name": "terraform", "public_key": public_pem(KEY)}
    assert (await api.call("POST", "oauth-clients", again))[0] == 409
    assert (await api.call("POST", "oauth-clients", {**again, "name": "a:b"}))[0] == 400
    assert (await api.call("GET", "oauth-clients", role=Role.OPERATOR))[0] == 403


async def test_whatever_a_manager_of_the_store_is_called_is_the_audience_at_each_of_them(api: ApiClient):
    client_id = await register(api)
    audience = "https://second.example.com/oauth/token/"
    assert (await ask_for(api, client_id, aud=audience))[0] == 401
    nodes = api.context.store.nodes
    await nodes.add("management-2", "management", names=["second.example.com"], addresses=[], now_s=0)
    assert (await ask_for(api, client_id, aud=audience, jti="2"))[0] == 200
    # spent once, whichever of them it was shown to
    assert (await ask_for(api, client_id, aud=audience, jti="2"))[0] == 401
