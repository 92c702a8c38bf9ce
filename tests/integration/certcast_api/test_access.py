"""Who may do what at the API, and how they sign in."""

import json

import aiohttp
import pytest

from common.api.codes import Role
from manager.api.app import ROUTES
from manager.domain.callers import ROLES, includes
from tests.integration.api import ApiClient

ROLE_RANK = {role: rank for rank, role in enumerate(ROLES)}


CASES = {
    ("GET", "certificates"): None,
    ("POST", "certificates"): {"certificate": "x"},
    ("GET", "certificates/{id}"): None,
    ("DELETE", "certificates/{id}"): None,
    ("PATCH", "certificates/{id}"): {"nodes": []},
    ("GET", "certificates/by-node"): None,
    ("POST", "certificates/{id}/assign"): {"nodes": []},
    ("POST", "certificates/download"): {"ids": [99]},
    ("POST", "certificates/delete"): {"ids": [99]},
    ("POST", "import"): {"files": []},
    ("GET", "certificates/{id}/request-fields"): None,
    ("GET", "requests"): None,
    ("POST", "requests"): {"private_key_type": "ECDSAP256"},
    ("GET", "requests/{id}"): None,
    ("POST", "requests/{id}/answer"): {"certificate": "x"},
    ("DELETE", "requests/{id}"): None,
    ("GET", "alarms"): None,
    ("GET", "alarms/history"): None,
    ("POST", "alarms/acknowledge"): {"ids": [99]},
    ("GET", "trusted-cas/{id}"): None,
    ("GET", "trusted-cas/builtin"): None,
    ("GET", "trusted-cas/export"): None,
    ("PATCH", "trusted-cas/{id}"): {"trusted_intermediate": True},
    ("POST", "trusted-cas/delete"): {"ids": [99]},
    ("GET", "trusted-cas"): None,
    ("POST", "trusted-cas"): {"certificates": "x"},
    ("DELETE", "trusted-cas/{id}"): None,
    ("GET", "nodes"): None,
    ("POST", "nodes"): {"name": "Bad Name"},
    ("GET", "nodes/{name}"): None,
    ("DELETE", "nodes/{name}"): None,
    ("POST", "nodes/{name}/join-token"): None,
    ("PUT", "nodes/{name}/slots/{slot}"): {"certificate": 99},
    ("DELETE", "nodes/{name}/slots/{slot}"): None,
    ("GET", "nodes/{name}/generations"): None,
    ("GET", "nodes/{name}/generations/{generation}/difference"): None,
    ("POST", "nodes/{name}/generations/{generation}/republish"): None,
    ("GET", "fleet"): None,
    ("POST", "push"): {"nodes": [], "dry_run": True},
    ("GET", "events"): None,
    ("GET", "whoami"): None,
    ("GET", "users"): None,
    ("POST", "users"): {"name": "x", "password": "short"},
    ("DELETE", "users/{name}"): None,
    ("POST", "tokens"): {"label": "x", "days": 0},
    ("GET", "tokens"): None,
    ("DELETE", "tokens/{id}"): None,
    ("PUT", "users/{name}/role"): {"role": "operator"},
    ("GET", "audit"): None,
    ("GET", "oauth-clients"): None,
    ("POST", "oauth-clients"): {"name": "x", "role": "operator", "public_key": "x"},
    ("DELETE", "oauth-clients/{name}"): None,
    ("GET", "audit/head"): None,
    ("GET", "audit/verify"): None,
    ("GET", "join-tokens"): None,
    ("GET", "host-key"): None,
    ("POST", "host-key/announce"): None,
    ("POST", "host-key/abandon"): None,
    ("POST", "host-key/switch"): None,
    ("POST", "host-key/drop"): None,
    ("DELETE", "nodes/{name}/join-tokens/{id}"): None,
    ("GET", "users/{name}/sessions"): None,
    ("DELETE", "users/{name}/sessions"): None,
    ("GET", "accounts"): None,
    ("POST", "accounts"): {"name": ""},
    ("GET", "accounts/{id}"): None,
    ("PATCH", "accounts/{id}"): {},
    ("DELETE", "accounts/{id}"): None,
    ("GET", "accounts/{id}/directory"): None,
    ("POST", "accounts/{id}/register"): None,
    ("POST", "accounts/{id}/change-key"): None,
    ("POST", "accounts/{id}/deactivate"): None,
    ("GET", "renewals"): None,
    ("POST", "renewals"): {"certificate": 99},
    ("GET", "renewals/{id}"): None,
    ("PUT", "renewals/{id}"): {},
    ("DELETE", "renewals/{id}"): None,
    ("POST", "renewals/{id}/order"): None,
    ("POST", "renewals/{id}/test"): None,
    ("POST", "renewals/{id}/pause"): None,
    ("POST", "renewals/{id}/resume"): None,
    ("GET", "certificates/{id}/renewal-fields"): None,
}


async def test_every_route_refuses_strangers_and_lesser_roles_and_never_fails(api: ApiClient):
    assert {(route.method, route.path) for route in ROUTES} == set(CASES)
    for route in ROUTES:
        path = route.path.replace("{id}", "99").replace("{name}", "nobody").replace("{slot}", "server")
        path = path.replace("{generation}", "9")
        body = CASES[route.method, route.path]
        status, answer = await api.call(route.method, path, body, role=None)
        assert (status, answer["error"]["reason"]) == (401, "unauthenticated"), route
        for role in Role:
            if route.path == "events":
                continue
            status, _ = await api.call(route.method, path, body, role=role)
            assert (status == 403) == (ROLE_RANK[role] < ROLE_RANK[route.role]), (route, role, status)
            assert status < 500, (route, role, status)


async def test_tokens_sign_in_as_their_user_and_are_shown_once(api: ApiClient):
    status, made = await api.call("POST", "tokens", {"label": "ci", "days": 1}, role=Role.OPERATOR)
    assert status == 201
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.call("GET", "whoami", role=None, headers=bearer))[1] == {
        "user": "operator",
        "role": "operator",
    }
    wrong = {"Authorization": f"Bearer {made['token']}x"}
    assert (await api.call("GET", "whoami", role=None, headers=wrong))[0] == 401
    assert made["token"] not in json.dumps((await api.call("GET", "audit"))[1])


async def test_tokens_are_listed_to_their_owner_and_revoked(api: ApiClient):
    made = (await api.call("POST", "tokens", {"label": "ci", "days": 1}, role=Role.OPERATOR))[1]
    bearer = {"Authorization": f"Bearer {made['token']}"}
    (listed,) = (await api.call("GET", "tokens", role=Role.OPERATOR))[1]["tokens"]
    assert (listed["label"], listed["expires_at_s"]) == ("ci", made["expires_at_s"])
    assert made["token"] not in json.dumps(listed)
    path = f"tokens/{listed['id']}"
    assert (await api.call("GET", "tokens", role=Role.READ_ONLY))[1]["tokens"] == []
    assert (await api.call("DELETE", path, role=Role.READ_ONLY))[0] == 404  # another's
    assert (await api.call("DELETE", path, role=Role.OPERATOR))[0] == 204
    assert (await api.call("GET", "whoami", role=None, headers=bearer))[0] == 401


async def test_a_role_changes_at_once_and_never_the_own(api: ApiClient):
    body = {"role": "read-only"}
    assert (await api.call("PUT", "users/administrator/role", body))[0] == 409
    assert (await api.call("PUT", "users/operator/role", body))[0] == 204
    assert (await api.call("GET", "whoami", role=Role.OPERATOR))[1]["role"] == "read-only"
    assert (await api.call("POST", "push", {"nodes": [], "dry_run": True}, role=Role.OPERATOR))[0] == 403


async def test_guessing_a_password_is_stopped_for_a_while(api: ApiClient):
    wrong = {"Authorization": aiohttp.encode_basic_auth("administrator", "wrong-password-000")}
    statuses = [(await api.call("GET", "whoami", role=None, headers=wrong))[0] for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert (await api.call("GET", "whoami"))[0] == 429
    assert (await api.call("GET", "whoami", role=Role.OPERATOR))[0] == 200


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!!", "Basic YQ==", "Digest x", "Bearer cct_nothing"]
)
async def test_a_login_that_cannot_be_read_is_refused(api: ApiClient, header: str):
    status, answer = await api.call("GET", "whoami", role=None, headers={"Authorization": header})
    assert (status, answer["error"]["reason"]) == (401, "unauthenticated")


def test_a_role_includes_those_below_it():
    assert [[includes(mine, needed) for needed in ROLES] for mine in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
