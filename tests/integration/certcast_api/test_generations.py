"""Generations, what differs between them, republishing and dry runs over the API, with a simulated node."""

import asyncio
import json
from pathlib import Path

import pytest

from common.api.codes import Role
from common.errors import StorageError
from common.ids import MANAGEMENT_NODE, NodeName
from manager.channel.keys import KeyRegistry
from manager.channel.pipe import pipe
from manager.domain import trust
from manager.domain.alarms import AlarmKind
from manager.domain.model import NodeDescription
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.usecases.workers import Workers
from tests import pki
from tests.fakes.simulator import NodeSimulator
from tests.integration.api import ApiClient, real_api
from tests.patience import PATIENCE_S

ROOT, ISSUER = pki.current_ca("Generations")
N1 = NodeName("n1")


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        assert (await client.call("POST", "nodes", {"name": "n1"}))[0] == 201
        yield client


async def assign(api: ApiClient, name: str) -> str:
    """Upload a certificate for the node and push it; return its fingerprint."""
    made = pki.current_leaf(ISSUER, [name])
    body = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    status, kept = await api.call("POST", "certificates", {**body, "nodes": ["n1"]})
    assert status == 201
    await api.call("POST", "push", {"nodes": ["n1"]})
    return kept["fingerprint"]


def dial(api: ApiClient) -> NodeSimulator:
    node = NodeSimulator(N1)
    near, far = pipe(asyncio.get_running_loop())
    far.attach(api.fleet.conversations.attach(N1, far))
    near.attach(node)
    node.greet(near)
    return node


def only_pushes_publish(api: ApiClient) -> None:
    """Let what changes never count as quiet: what was changed before, too, is otherwise published in the middle of a slow test."""
    changes = api.fleet._changes
    changes._quiet_s = changes._quiet_max_s = 100 * PATIENCE_S


async def until_applied(api: ApiClient, leaf: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (slot := api.fleet.node(N1).slots.get("server")) is None or slot.applied != leaf:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def generations(api: ApiClient) -> list[dict]:
    return (await api.call("GET", "nodes/n1/generations", role=Role.READ_ONLY))[1]["generations"]


async def test_older_content_comes_back_and_stays_until_something_changes(api: ApiClient):
    dial(api)
    old, new = await assign(api, "old.example.test"), await assign(api, "new.example.test")
    await until_applied(api, new)
    first = next(each for each in await generations(api) if each["slots"]["server"] == old)
    top = (await generations(api))[0]["generation"]
    status, done = await api.call("POST", f"nodes/n1/generations/{first['generation']}/republish")
    assert (status, done["action"], done["generation"]) == (201, "publish_and_push", top + 1)
    await until_applied(api, old)
    latest = (await generations(api))[0]
    assert (latest["stands_in"], latest["cause"]) == (True, f"republished generation {first['generation']}")
    assert (await api.call("GET", "nodes/n1"))[1]["republished"]

    await api.call("POST", "push", {"nodes": ["n1"]})
    await api.fleet.reconciler.reconcile()
    assert len(await generations(api)) == top + 1, "nothing changed, so nothing is published"

    assert (await api.call("POST", "trusted-cas", {"certificates": ROOT.certificate_pem}))[0] == 201
    await api.call("POST", "push", {"nodes": ["n1"]})
    await until_applied(api, new)
    assert not (await api.call("GET", "nodes/n1"))[1]["republished"]


async def test_older_content_whose_publication_cannot_be_noted_is_not_published(api: ApiClient, monkeypatch):
    old, _ = await assign(api, "old.example.test"), await assign(api, "new.example.test")
    before, desired = await generations(api), api.fleet.node(N1).desired
    first = next(each["generation"] for each in before if each["slots"]["server"] == old)

    async def fail(**_values: object) -> None:
        raise StorageError("the store says no")

    with monkeypatch.context() as patch:
        patch.setattr(api.context.store.audit, "append", fail)
        status, _ = await api.call("POST", f"nodes/n1/generations/{first}/republish")
    assert (status, await generations(api), api.fleet.node(N1).desired) == (503, before, desired)
    _, done = await api.call("POST", f"nodes/n1/generations/{first}/republish")
    (act, *_) = (await api.call("GET", "audit"))[1]["entries"]
    assert act["action"] == "generation.republished"
    assert str(done["generation"]) in str(act["detail"])


async def test_what_older_content_means_is_told_and_confirmed_as_it_was_told(api: ApiClient):
    old, new = await assign(api, "old.example.test"), await assign(api, "new.example.test")
    assert (await api.call("POST", "trusted-cas", {"certificates": ROOT.certificate_pem}))[0] == 201
    await api.call("POST", "push", {"nodes": ["n1"]})
    before = await generations(api)
    first = next(each["generation"] for each in before if each["slots"]["server"] == old)
    path = f"nodes/n1/generations/{first}/republish"
    status, refused = await api.call("POST", f"{path}?confirm=")
    reply = refused["error"]["confirmation"]
    found = {each["code"]: each["message"] for each in reply["consequences"]}
    assert status == 409
    assert {"names_lost", "untrusted"} <= found.keys()
    assert "new.example.test" in found["names_lost"]
    assert "n1 stops trusting 'CN=Generations Root'" in found["untrusted"]
    assert await generations(api) == before
    newest = max(each["generation"] for each in before)
    _, shown = await api.call("GET", f"nodes/n1/generations/{first}/difference?from={newest}")
    assert (shown["consequences"], shown["confirmation"]) == (reply["consequences"], reply["token"])

    # what is desired becomes another meanwhile: what was told is no longer what would happen
    await assign(api, "newer.example.test")
    status, again = await api.call("POST", f"{path}?confirm={reply['token']}")
    assert (status, again["error"]["confirmation"]["token"] != reply["token"]) == (409, True)
    assert "newer.example.test" in str(again["error"]["confirmation"])
    status, done = await api.call("POST", f"{path}?confirm={again['error']['confirmation']['token']}")
    assert status == 201
    assert {each["code"] for each in done["consequences"]} >= {"names_lost", "untrusted"}
    assert (await generations(api))[0]["slots"]["server"] == old
    assert new != old


async def test_older_content_with_more_client_cas_than_tls_can_name_wants_a_confirmation(
    api: ApiClient, monkeypatch
):
    assert (await api.call("POST", "trusted-cas", {"certificates": ROOT.certificate_pem}))[0] == 201
    await assign(api, "old.example.test")
    first = max(each["generation"] for each in await generations(api))
    assert (await api.call("DELETE", "trusted-cas/1?force=true"))[0] == 204
    await api.call("POST", "push", {"nodes": ["n1"]})
    assert max(each["generation"] for each in await generations(api)) > first
    builtin = (await api.use_cases.inventory()).trust.builtin
    monkeypatch.setattr(trust, "CLIENT_CA_LIST_MAX_BYTES", trust.client_ca_list_bytes(builtin))
    status, refused = await api.call("POST", f"nodes/n1/generations/{first}/republish?confirm=")
    reply = refused["error"]["confirmation"]
    assert (status, "client_ca_list_too_long" in {each["code"] for each in reply["consequences"]}) == (
        409,
        True,
    )
    status, _ = await api.call("POST", f"nodes/n1/generations/{first}/republish?confirm={reply['token']}")
    assert status == 201


async def test_older_content_for_another_name_is_an_alarm_of_the_node_for_as_long_as_it_stands_in(
    api: ApiClient,
):
    async def mismatches() -> list[str]:
        await api.use_cases.alarms.evaluator.evaluate(api.fleet)
        active = await api.use_cases.alarms.active()
        return [each.details for each in active if each.subject.kind is AlarmKind.NAME_MISMATCH]

    old, new = await assign(api, "old.example.test"), await assign(api, "new.example.test")
    first = next(each["generation"] for each in await generations(api) if each["slots"]["server"] == old)
    await api.context.store.catalogue.describe(N1, NodeDescription(names=["new.example.test"], addresses=[]))
    assert await mismatches() == []
    # the entry is gone: what is published is all that is known of it
    assert (await api.call("DELETE", "certificates/1?force=true"))[0] == 200
    assert (await api.call("POST", f"nodes/n1/generations/{first}/republish"))[0] == 201
    (details,) = await mismatches()
    assert "is not valid for new.example.test" in details
    assert "old.example.test" in details
    newest = next(each["generation"] for each in await generations(api) if each["slots"]["server"] == new)
    assert (await api.call("POST", f"nodes/n1/generations/{newest}/republish"))[0] == 201
    assert await mismatches() == []


async def test_a_restarted_manager_knows_what_stands_in(api: ApiClient):
    old, _ = await assign(api, "old.example.test"), await assign(api, "new.example.test")
    first = next(each for each in await generations(api) if each["slots"]["server"] == old)
    await api.call("POST", f"nodes/n1/generations/{first['generation']}/republish")
    store = api.context.store
    again = Fleet(
        store, Compiler(store, api.context.inventories), KeyRegistry({}), own_node=MANAGEMENT_NODE, epoch=1
    )
    await again.load()
    before = again.node(N1).desired
    await again.push([N1], forced=False)
    assert (again.node(N1).desired, again.node(N1).republished) == (before, True)


async def test_a_difference_names_leaf_chain_anchors_and_files_and_holds_no_key(api: ApiClient):
    only_pushes_publish(api)
    old = await assign(api, "old.example.test")
    await api.call("POST", "trusted-cas", {"certificates": ROOT.certificate_pem})
    new = await assign(api, "new.example.test")
    found = await generations(api)
    before = next(each["generation"] for each in found if each["slots"]["server"] == old)
    status, answer = await api.call(
        "GET", f"nodes/n1/generations/{found[0]['generation']}/difference?from={before}", role=Role.READ_ONLY
    )
    assert (status, answer["before"], answer["after"]) == (200, before, found[0]["generation"])
    (slot,) = answer["difference"]["slots"]
    assert next(each["fingerprint"] for each in slot["after"]) == new
    assert [each["subject"] for each in slot["after"]] == [
        "CN=new.example.test",
        "CN=Generations Issuing",
    ]
    assert [each["subject"] for each in answer["difference"]["anchors_added"]] == ["CN=Generations Root"]
    paths = {each["path"] for each in answer["difference"]["files"]}
    assert {"server/privkey.pem", "trust/custom-ca.pem"} <= paths
    assert "PRIVATE" not in json.dumps(answer)
    _, back = await api.call("GET", f"nodes/n1/generations/{before}/difference?from={found[0]['generation']}")
    assert [each["subject"] for each in back["difference"]["anchors_removed"]] == ["CN=Generations Root"]
    _, first = await api.call("GET", "nodes/n1/generations/1/difference")
    assert (first["before"], {each["change"] for each in first["difference"]["files"]}) == (None, {"added"})


async def test_a_dry_run_shows_what_would_change_on_the_node_and_publishes_nothing(api: ApiClient):
    only_pushes_publish(api)
    dial(api)
    await until_applied(api, old := await assign(api, "old.example.test"))
    made = pki.current_leaf(ISSUER, ["new.example.test"])
    body = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    await api.call("POST", "certificates", {**body, "nodes": ["n1"]})
    before = await generations(api)
    _, answer = await api.call("POST", "push", {"nodes": ["n1"], "dry_run": True}, role=Role.OPERATOR)
    (plan,) = answer["pushes"]
    assert (plan["action"], plan["generation"]) == ("publish_and_push", before[0]["generation"] + 1)
    (slot,) = plan["difference"]["slots"]
    assert (slot["before"][0]["fingerprint"], slot["after"][0]["subject"]) == (old, "CN=new.example.test")
    assert "trust/ca-certificates.pem" not in {each["path"] for each in plan["difference"]["files"]}
    assert await generations(api) == before
    _, everywhere = await api.call("POST", "push", {"dry_run": True})
    assert [each["node"] for each in everywhere["pushes"]] == ["n1"]


async def test_a_dry_run_where_nothing_would_change_has_no_difference(api: ApiClient):
    only_pushes_publish(api)
    dial(api)
    await until_applied(api, await assign(api, "old.example.test"))
    _, answer = await api.call("POST", "push", {"nodes": ["n1"], "dry_run": True})
    assert answer["pushes"] == [
        {
            "node": "n1",
            "action": "none",
            "why": "it runs what is desired",
            "generation": None,
            "difference": None,
            "retry_after_s": None,
        }
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nodes/n2/generations", 404),
        ("GET", "nodes/n1/generations/99/difference", 404),
        ("GET", "nodes/n1/generations/1/difference?from=99", 404),
        ("GET", "nodes/n1/generations/x/difference", 400),
        ("GET", "nodes/n1/generations/1/difference?from=x", 400),
        ("POST", "nodes/n1/generations/99/republish", 404),
        ("POST", "nodes/n2/generations/1/republish", 404),
        ("POST", f"nodes/n1/generations/{10**17}/republish", 404),
    ],
)
async def test_what_is_not_there_is_refused_by_name(api: ApiClient, method: str, path: str, status: int):
    await assign(api, "n1.example.test")
    seen, answer = await api.call(method, path)
    assert (seen, "error" in answer) == (status, True)


async def test_what_is_desired_already_is_not_republished(api: ApiClient):
    await assign(api, "n1.example.test")
    top = (await generations(api))[0]["generation"]
    status, answer = await api.call("POST", f"nodes/n1/generations/{top}/republish")
    assert (status, "desired for the node" in answer["error"]["message"]) == (409, True)
    assert len(await generations(api)) == top


async def test_the_audit_log_comes_in_pages_and_its_chain_is_walked(api: ApiClient):
    for number in range(5):
        await api.context.audit("ada", "test.done", f"thing {number}")
    seen, before = [], ""
    while True:
        _, page = await api.call("GET", f"audit?limit=3{before}")
        seen += [each["id"] for each in page["entries"]]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == list(range(len(seen), 0, -1))
    _, found = await api.call("GET", "audit/verify")
    assert (found["broken_at"], found["count"], found["noted"]) == (None, len(seen), True)
    await api.context.audit("ada", "test.done", "one more")
    assert (await api.call("GET", f"audit/verify?noted={found['head']}"))[1]["noted"]
    assert not (await api.call("GET", "audit/verify?noted=feed"))[1]["noted"]
    assert (await api.call("GET", "audit?limit=0"))[1]["error"]["field"] == "limit"
    assert (await api.call("GET", "audit?limit=1001"))[0] == 400
