import asyncio
import gzip
import io
import json
from pathlib import Path

import aiohttp
import pytest

from common.api.codes import Role
from common.errors import StorageError
from manager.api.app import ROOT, ROUTES
from manager.domain.callers import ROLES, includes
from manager.http.bodies import BODY_MAX_BYTES
from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.patience import PATIENCE_S

_, ISSUER = pki.current_ca("Api")
ROLE_RANK = {role: rank for rank, role in enumerate(ROLES)}


@pytest.fixture(scope="module")
def workers():
    """One pool for all tests here: starting its processes takes a second."""
    made = Workers()
    yield made
    asyncio.run(made.__aexit__(None, None, None))


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        yield client


def upload(made: pki.Made, **more) -> dict:
    return {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem, **more}


async def add_node(api: ApiClient, name: str = "n1") -> dict:
    status, answer = await api.call("POST", "nodes", {"name": name, "addresses": ["192.0.2.7"]})
    assert status == 201
    return answer


async def test_the_main_job_over_http(api: ApiClient):
    added = await add_node(api)
    assert added["join_token"].startswith("certcast1.")
    made = pki.current_leaf(ISSUER, ["n1.example.test"])
    status, kept = await api.call("POST", "certificates", upload(made, nodes=["n1"]))
    assert (status, kept["created"], kept["status"]) == (201, True, "Good")
    assert kept["nodes"] == [{"node": "n1", "slot": "server"}]
    status, again = await api.call("POST", "certificates", upload(made))
    assert (status, again["id"], again["created"]) == (200, kept["id"], False)
    status, shown = await api.call("GET", f"certificates/{kept['id']}")
    assert shown["certificate"] == made.certificate_pem + ISSUER.certificate_pem
    status, listed = await api.call("GET", "certificates")
    assert {each["status"] for each in listed["certificates"]} == {"Good", "Temporary"}
    status, pushed = await api.call("POST", "push", {"nodes": ["n1"]})
    assert pushed["pushes"][0]["action"] == "wait"
    status, node = await api.call("GET", "nodes/n1")
    assert node["slots"]["server"]["desired"] == kept["fingerprint"]
    assert node["state"] == "never_joined"
    status, history = await api.call("GET", "nodes/n1/generations")
    assert [each["generation"] for each in history["generations"]] == list(
        range(len(history["generations"]), 0, -1)
    )
    status, refused = await api.call("DELETE", f"certificates/{kept['id']}")
    assert (status, "n1" in refused["error"]["message"]) == (409, True)
    status, lost = await api.call("DELETE", f"certificates/{kept['id']}?force=true")
    assert lost["nodes"] == [{"node": "n1", "slot": "server"}]
    assert (await api.call("GET", f"certificates/{kept['id']}"))[0] == 404


async def test_no_answer_ever_holds_a_key_or_a_passphrase(api: ApiClient, capfd):
    made, other = pki.current_leaf(ISSUER, ["n1.example.test"]), pki.current_leaf(ISSUER, ["n2.example.test"])
    phrase = "the-passphrase-of-this-test"
    await add_node(api)
    await api.call("POST", "certificates", upload(made, nodes=["n1"]))
    sealed = other.encrypted_key_pem(phrase)
    await api.call(
        "POST", "certificates", {**upload(other), "private_key": sealed, "private_key_passphrase": phrase}
    )
    await api.call(
        "POST",
        "certificates",
        {**upload(other), "private_key": sealed, "private_key_passphrase": phrase[:-1]},
    )
    await api.call("POST", "certificates", {**upload(made), "private_key": other.key_pem})
    await api.call("POST", "certificates", {"certificate": other.key_pem})
    await api.call("POST", "certificates", {**upload(made), "nodes": 7})
    await api.call("POST", "trusted-cas", {"certificates": made.key_pem})
    for route in ROUTES:
        if route.method == "GET" and route.path != "events":
            await api.call("GET", route.path.replace("{id}", "2").replace("{name}", "n1"))
    said = b"".join(api.answers) + "".join(capfd.readouterr()).encode()
    assert made.certificate_pem.splitlines()[1].encode() in said
    for key in (made.key_pem, other.key_pem, sealed):
        assert key.splitlines()[1].encode() not in said
        assert key.splitlines()[2].encode() not in said
    assert phrase.encode() not in said


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
    ("DELETE", "nodes/{name}/join-tokens/{id}"): None,
    ("GET", "users/{name}/sessions"): None,
    ("DELETE", "users/{name}/sessions"): None,
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


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"certificate": 7}, "certificate"),
        ({}, "certificate"),
        ({"certificate": "x", "nodes": [7]}, "nodes[0]"),
        ({"certificate": "x", "nodes": ["no such"]}, "name"),
        ({"certificate": "x", "slot": "third"}, "slot"),
    ],
)
async def test_bad_input_names_its_field(api: ApiClient, body: dict, field: str):
    status, answer = await api.call("POST", "certificates", body)
    assert (status, answer["error"]["field"]) == (400, field)


async def test_every_finding_of_an_upload_is_told_with_its_place_and_nothing_is_kept(api: ApiClient):
    made, other = pki.current_leaf(ISSUER, ["a.example.test"]), pki.current_leaf(ISSUER, ["b.example.test"])
    cut = made.certificate_pem[:-40]
    status, answer = await api.call(
        "POST", "certificates", {"certificate": cut, "private_key": other.key_pem}
    )
    assert status == 400
    assert answer["error"]["findings"][0]["line"] == 1
    status, answer = await api.call(
        "POST", "certificates", {"certificate": made.certificate_pem, "private_key": other.key_pem}
    )
    assert (status, answer["error"]["reason"]) == (400, "key_mismatch")
    assert (await api.call("GET", "certificates"))[1] == {"total": 0, "certificates": []}


async def test_a_node_that_cannot_be_added_leaves_nothing_behind(api: ApiClient):
    await add_node(api)
    before = await api.call("GET", "certificates")
    assert (await api.call("POST", "nodes", {"name": "n1"}))[0] == 409
    assert (await api.call("POST", "nodes", {"name": "n2", "addresses": ["not an address"]}))[0] == 400
    assert (await api.call("POST", "nodes", {"name": "management"}))[0] == 409
    assert await api.call("GET", "certificates") == before
    assert (await api.call("DELETE", "nodes/n1"))[0] == 204
    assert (await api.call("GET", "certificates"))[1] == {"total": 0, "certificates": []}


async def test_bodies_are_bounded_and_plain(api: ApiClient):
    url = f"{api.url}{ROOT}/trusted-cas"
    auth = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
    async with api.session.post(url, data=io.BytesIO(b"x" * (BODY_MAX_BYTES + 1)), headers=auth) as answer:
        assert answer.status == 413
    squeezed = gzip.compress(json.dumps({"certificates": "x"}).encode())
    async with api.session.post(url, data=squeezed, headers={**auth, "Content-Encoding": "gzip"}) as answer:
        assert answer.status == 415
    for body in (b"", b"{", b"\xff", b"[]", b"7"):
        async with api.session.post(url, data=body, headers=auth) as answer:
            assert (answer.status, (await answer.json())["error"]["reason"]) == (400, "invalid")


async def test_a_body_that_drips_is_not_waited_for(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.bodies.BODY_TIMEOUT_S", 0.2)

    async def drip():
        yield b"{"
        await asyncio.sleep(2 * PATIENCE_S)
        yield b"}"

    auth = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
    async with (
        asyncio.timeout(PATIENCE_S),
        api.session.post(f"{api.url}{ROOT}/trusted-cas", data=drip(), headers=auth) as answer,
    ):
        assert answer.status == 400


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
    assert (listed["label"], listed["expires_s"]) == ("ci", made["expires_s"])
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


async def test_the_list_of_nodes_says_their_states(api: ApiClient):
    await api.call("POST", "nodes", {"name": "n1"})
    listed = (await api.call("GET", "nodes"))[1]["nodes"]
    assert {each["name"]: each["state"] for each in listed}["n1"] == "never_joined"


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


async def test_changes_of_nodes_are_streamed(api: ApiClient):
    auth = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.READ_ONLY], PASSWORD)}
    async with api.session.get(f"{api.url}{ROOT}/events", headers=auth) as stream:
        assert stream.content_type == "text/event-stream"
        await add_node(api)
        async with asyncio.timeout(PATIENCE_S):
            while not (line := await stream.content.readline()).startswith(b"data: "):
                pass
        assert json.loads(line.removeprefix(b"data: "))["name"] == "n1"


async def test_what_cannot_be_written_down_is_503_and_was_not_done(api: ApiClient, monkeypatch):
    await add_node(api)
    made = pki.current_leaf(ISSUER, ["n1.example.test"])
    _, kept = await api.call("POST", "certificates", upload(made))
    calls = [
        ("POST", "nodes", {"name": "n2"}),
        ("DELETE", "nodes/n1", None),
        ("POST", "nodes/n1/join-token", None),
        ("POST", "push", {"nodes": ["n1"]}),
        ("POST", f"certificates/{kept['id']}/assign", {"nodes": ["n1"]}),
        ("DELETE", f"certificates/{kept['id']}", None),
        ("POST", "trusted-cas", {"certificates": pki.make_root().certificate_pem}),
        ("POST", "tokens", {"label": "x", "days": 1}),
        ("DELETE", "users/operator", None),
        ("POST", "certificates/download", {"ids": [kept["id"]], "include_key": True, "passphrase": PASSWORD}),
    ]
    topics = ("nodes", "certificates", "assignments", "trusted-cas", "users", "audit")
    before = [(await api.call("GET", topic))[1] for topic in topics]

    async def fail(**_values):
        raise StorageError("the store says no")

    monkeypatch.setattr(api.context.store.audit, "append", fail)
    for method, path, body in calls:
        status, answer = await api.call(method, path, body)
        assert (status, answer["error"]["message"]) == (503, "the store says no"), (method, path, answer)
    assert [(await api.call("GET", topic))[1] for topic in topics] == before
    assert api.fleet.names() == ["n1"]


async def test_what_is_done_is_written_down_with_who_did_it(api: ApiClient):
    await add_node(api)
    acts = (await api.call("GET", "audit"))[1]["entries"]
    assert ("administrator", "node.added", "node n1") in {
        (act["actor"], act["action"], act["subject"]) for act in acts
    }
    assert (await api.context.store.audit.verify()).broken_at is None


def test_a_role_includes_those_below_it():
    assert [[includes(mine, needed) for needed in ROLES] for mine in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


async def events_of(api: ApiClient, since: str | None, count: int) -> tuple[list[dict], str]:
    """Return events (with their names), and the id that the last of them had."""
    headers = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.READ_ONLY], PASSWORD)}
    if since is not None:
        headers["Last-Event-ID"] = since
    found, last, name = [], "", ""
    async with (
        api.session.get(f"{api.url}{ROOT}/events", headers=headers) as stream,
        asyncio.timeout(PATIENCE_S),
    ):
        while len(found) < count:
            kind, _, value = (await stream.content.readline()).decode().rstrip("\n").partition(": ")
            if kind == "id":
                last = value
            elif kind == "event":
                name = value
            elif kind == "data":
                found.append({"event": name, **json.loads(value)})
                name = ""
    return found, last


async def test_a_stream_that_is_taken_up_again_tells_what_was_missed(api: ApiClient):
    await add_node(api, "n1")
    await add_node(api, "n2")
    # published at once: no change of theirs is left for later
    await api.call("POST", "push", {"nodes": ["n1", "n2"]})
    (first, second), mark = await events_of(api, "of another run", 2)
    assert {first["name"], second["name"]} == {"n1", "n2"}
    await add_node(api, "n3")
    await api.call("DELETE", "nodes/n1")
    missed, later = await events_of(api, mark, 2)
    assert {(each["event"], each["name"]) for each in missed} == {("", "n3"), ("removed", "n1")}
    assert later not in {"", mark}
