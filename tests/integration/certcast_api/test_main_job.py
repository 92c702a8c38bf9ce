"""The main job over HTTP, and what is kept and told of it."""

import asyncio
import json

import aiohttp

from common.api.codes import Role
from common.errors import StorageError
from manager.api.app import ROOT, ROUTES
from tests import pki
from tests.integration.api import PASSWORD, USERS, ApiClient
from tests.integration.certcast_api.conftest import ISSUER, add_node
from tests.patience import PATIENCE_S


def upload(made: pki.Made, **more) -> dict:
    return {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem, **more}


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


async def test_the_list_of_nodes_says_their_states(api: ApiClient):
    await api.call("POST", "nodes", {"name": "n1"})
    listed = (await api.call("GET", "nodes"))[1]["nodes"]
    assert {each["name"]: each["state"] for each in listed}["n1"] == "never_joined"


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
