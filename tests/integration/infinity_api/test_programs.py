"""Programs that sign in with a key of their own, roles, and who may do what."""

import time
import uuid
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.api.codes import Role
from tests.fakes import sdk_client
from tests.integration.api import USERS
from tests.integration.infinity_api.parts import ROOTS
from tests.integration.infinity_api.platform import (
    CERTIFICATES,
    CONFIGURATION,
    IMPORT,
    LOCATIONS,
    MANAGERS,
    ROOT,
    WORKERS,
    Client,
    leaf,
    upload,
)


async def check_looks_only(client: Client, role: Role, at: str) -> None:
    for path in (CERTIFICATES, at, f"{CERTIFICATES}set/1;2/", f"{CERTIFICATES}schema/", *ROOTS):
        assert (await client.call("GET", path, role=role)).status == 200
    for method, path in (
        *(
            ("POST", CERTIFICATES),
            ("PATCH", at),
            ("DELETE", at),
            ("DELETE", CERTIFICATES),
            ("PATCH", CERTIFICATES),
        ),
        *(("POST", IMPORT), ("PUT", f"{MANAGERS}1/"), ("POST", WORKERS)),
    ):
        answer = await client.call(method, path, {}, role=role)
        assert answer.status == 403
        assert Role.ADMINISTRATOR.value in answer.error


async def access_token(client: Client, created: dict[str, Any]) -> str:
    now_s = int(time.time())
    claims = {
        **dict.fromkeys(["iss", "sub"], created["client_id"]),
        "aud": "https://manager.example.test/oauth/token/",
        "iat": now_s,
        "exp": now_s + 300,
        "jti": str(uuid.uuid4()),
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, created["private_key_jwt"], algorithm="ES256"),
    }
    answer = await client.call("POST", "/oauth/token/", data=form, role=None)
    assert answer.status == 200, answer
    return answer.json["access_token"]


async def test_who_is_unknown_is_401_and_asked_for_basic_whatever_the_path(client: Client):
    for path in (CERTIFICATES, f"{CERTIFICATES}99/", f"{ROOT}/nothing/", f"/{CERTIFICATES}"):
        for method in ("GET", "POST", "DELETE"):
            answer = await client.call(method, path, role=None)
            assert (answer.status, answer.body) == (401, b"")
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    wrong = {"Authorization": aiohttp.encode_basic_auth("administrator", "not-the-password")}
    assert (await client.call("GET", CERTIFICATES, headers=wrong)).status == 401


async def test_only_administrators_change_anything(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("a.example.test")))
    for role in (Role.READ_ONLY, Role.OPERATOR):
        await check_looks_only(client, role, at)
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 2


async def test_another_sites_page_may_not_change_anything(client: Client):
    at = await client.post(LOCATIONS, {"name": "Oslo"})
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.call("DELETE", at, headers=headers)).status == 403
        assert (await client.call("GET", at, headers=headers)).status == 200
    assert (await client.call("DELETE", at, headers={"Sec-Fetch-Site": "same-origin"})).status == 204


async def test_failed_logins_are_429_with_an_empty_body_before_anything_is_done(client: Client):
    wrong = {"Authorization": aiohttp.encode_basic_auth("nobody", "not-the-password")}
    for _ in range(10):
        assert (await client.call("GET", CERTIFICATES, headers=wrong)).status == 401
    answer = await client.call("DELETE", f"{CERTIFICATES}1/", headers=wrong)
    assert (answer.status, answer.body, answer.headers["Retry-After"]) == (429, b"", "1")


async def test_a_token_of_our_own_api_signs_in_here_too(client: Client):
    users = client.api.use_cases.users
    token, _ = await users.new_token(USERS[Role.READ_ONLY], label="l", days=1, scope=None, actor="test")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 200


async def test_a_post_can_stand_for_another_change_and_needs_the_same_role(client: Client):
    at = await client.post(LOCATIONS, {"name": "Oslo"})

    async def meaning(method: str, body: Any = None, **more: Any) -> int:
        headers = {"X-HTTP-Method-Override": method}
        return (await client.call("POST", at, body, headers=headers, **more)).status

    assert await meaning("PATCH", {"description": "d"}) == 202
    assert await meaning("put", {"mtu": 1400}) == 204
    shown = await client.get(at)
    assert (shown["description"], shown["mtu"]) == ("d", 1400)
    assert await meaning("DELETE", role=Role.READ_ONLY) == 403
    # a change never passes for a look
    assert await meaning("GET", role=Role.READ_ONLY) == 403
    assert await meaning("GET", {}) == 501
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert (await client.call("GET", at, headers=headers)).status == 200
    assert await meaning("DELETE") == 204
    assert (await client.call("GET", at)).status == 404


async def test_a_program_is_made_with_a_key_that_is_shown_once_and_signs_in_with_it(client: Client):
    path, roles = f"{CONFIGURATION}/oauth2_client/", f"{CONFIGURATION}/role/"
    made = await client.call(
        "POST", path, {"client_name": "CI/CD of the platform: prod", "role": f"{roles}1/"}
    )
    assert made.status == 201
    created = sdk_client.read_object("configuration/v1/oauth2_client", made.body)
    assert created["private_key_jwt"].startswith("-----BEGIN PRIVATE KEY-----")
    assert created["resource_uri"] == made.location
    shown = await client.get(made.location)
    assert shown == {**made.json, "private_key_jwt": None}
    # by its number as Terraform does, or by what it signs in with
    assert await client.get(f"{path}{created['client_id']}/") == shown
    assert b"PRIVATE KEY" not in (await client.call("GET", path)).body
    headers = {"Authorization": f"Bearer {await access_token(client, created)}"}
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 200
    refused = await client.call("POST", LOCATIONS, {"name": "Oslo"}, role=None, headers=headers)
    assert refused.status == 403
    # another role counts at once, for the token that is there already
    assert (await client.call("PUT", made.location, {"role": f"{roles}3/"})).status == 204
    allowed = await client.call("POST", LOCATIONS, {"name": "Oslo"}, role=None, headers=headers)
    assert allowed.status == 201
    assert (await client.call("PATCH", made.location, {"client_name": "renamed"})).status == 202
    assert (await client.get(made.location))["client_name"] == "renamed"
    (own,) = (await client.api.call("GET", "oauth-clients"))[1]["clients"]
    assert (own["name"], own["role"], own["client_id"]) == ("renamed", "administrator", created["client_id"])
    acts = await client.api.context.store.audit.list(limit=50)
    assert not any("PRIVATE" in str(act) for act in acts)
    assert (await client.call("DELETE", f"{path}{created['client_id']}/")).status == 204
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 401


async def test_roles_are_what_their_permissions_give_and_those_built_in_stay(client: Client):
    path = f"{CONFIGURATION}/role/"
    built_in = (await client.get(path))["objects"]
    assert [(each["id"], each["name"]) for each in built_in] == [
        (1, "read-only"),
        (2, "operator"),
        (3, "administrator"),
    ]
    # Terraform looks permissions up by name, and makes URIs of the ids in a role
    listed = sdk_client.read_list(
        "configuration/v1/permission", (await client.call("GET", f"{CONFIGURATION}/permission/")).body
    )
    uri = {each["name"]: each["resource_uri"] for each in listed["objects"]}
    assert set(uri) == {
        "May use API",
        "May push and acknowledge alarms",
        "Is administrator",
        "Is administrator and may obtain join tokens",
    }
    at = await client.post(path, {"name": "deploy", "permissions": [uri["May use API"]]})
    read = sdk_client.read_object("configuration/v1/role", (await client.call("GET", at)).body)
    assert [each["id"] for each in read["permissions"]] == [1]
    program = {"client_name": "c", "role": at}
    made = await client.call("POST", f"{CONFIGURATION}/oauth2_client/", program)
    assert (await client.get(made.location))["role"] == at
    assert [each.role for each in await client.api.use_cases.clients.list()] == [Role.READ_ONLY]
    assert (await client.call("PUT", at, {"permissions": [uri["Is administrator"]]})).status == 204
    assert [each.role for each in await client.api.use_cases.clients.list()] == [Role.ADMINISTRATOR]
    for method, where, body in (
        ("PUT", at, {"permissions": []}),
        ("DELETE", at, None),
        ("PATCH", f"{path}3/", {"permissions": [uri["May use API"]]}),
        ("PATCH", f"{path}1/", {"name": "mine"}),
        ("DELETE", f"{path}2/", None),
    ):
        refused = await client.call(method, where, body)
        assert (refused.status, set(refused.json)) == (400, {"role"}), (method, where)
    assert (await client.get(path))["objects"][:3] == built_in
    empty = await client.post(path, {"name": "nothing"})
    nobody = await client.call("POST", f"{CONFIGURATION}/oauth2_client/", {"client_name": "n", "role": empty})
    assert (nobody.status, set(nobody.json["oauth2_client"])) == (400, {"role"})
    missing = await client.call(
        "POST", path, {"name": "x", "permissions": [f"{CONFIGURATION}/permission/9/"]}
    )
    assert (missing.status, set(missing.json["role"])) == (400, {"permissions"})
    assert (await client.call("DELETE", made.location)).status == 204
    assert (await client.call("DELETE", at)).status == 204


async def test_a_program_of_our_own_command_has_the_built_in_role_of_its_level(client: Client):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    body = {"name": "terraform", "role": "operator", "public_key": pem}
    assert (await client.api.call("POST", "oauth-clients", body))[0] == 201
    (found,) = (await client.get(f"{CONFIGURATION}/oauth2_client/"))["objects"]
    assert (found["client_name"], found["role"]) == ("terraform", f"{CONFIGURATION}/role/2/")
    for at in (f"{CONFIGURATION}/oauth2_client/{'0' * 32}/", f"{CONFIGURATION}/oauth2_client/99/"):
        assert (await client.call("GET", at)).status == 404
