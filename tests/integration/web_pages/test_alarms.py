from pathlib import Path

import pytest

from common.api.codes import Role
from manager.web.pages import alarms, audit
from tests.browser.showroom import Showroom
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.integration.web import visitor


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


@pytest.fixture
async def room(api: ApiClient) -> Showroom:
    """A node without a certificate, and a certificate that expires soon: an error and a warning."""
    room = Showroom(api)
    await room.add_node("bare")
    await room.add_node("n1")
    await room.upload(
        ["soon.example.com", "n1.example.com", "bare.example.com"],
        days=5,
        nodes=["n1"],
        issuer=None,
        chain="",
    )
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    return room


async def test_alarms_say_by_text_how_bad_they_are_and_lead_to_what_they_are_about(
    api: ApiClient, room: Showroom
):
    async with visitor(api, Role.READ_ONLY) as browser:
        answer = await browser.get("/alarms")
        assert "2 alarms" in answer.text
        assert answer.text.index("Error Node has no TLS certificate") < answer.text.index(
            "Warning TLS certificate expires soon"
        )
        assert 'href="/nodes/bare"' in answer.html
        assert 'href="/certificates/1"' in answer.html
        assert "Acknowledge selected" not in answer.text
        assert "1 alarm found" in (await browser.get("/alarms?level=warning")).text
        assert "1 alarm found" in (await browser.get("/alarms?search=BARE")).text


async def test_several_alarms_are_acknowledged_at_once_and_those_that_ended_meanwhile_are_told_of(
    api: ApiClient, room: Showroom
):
    ids = [str(each.id) for each in await api.use_cases.alarms.active()]
    async with visitor(api, Role.OPERATOR) as browser:
        answer = await browser.post("/alarms/acknowledge", {"id": [*ids, "999"]})
        assert "Acknowledged 2 alarms. 1 alarm had ended in the meantime." in answer.text
        assert "by operator" in answer.text
        assert {each.acknowledged_by for each in await api.use_cases.alarms.active()} == {"operator"}
        answer = await browser.post("/alarms/acknowledge")
        assert (answer.status, "Tick at least one alarm first" in answer.text) == (400, True)
        assert "alarms" in answer.text


async def test_what_ended_is_in_the_history(api: ApiClient, room: Showroom):
    await api.use_cases.assignments.assign(1, nodes=["bare"], slot="server", actor="test")
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    async with visitor(api, Role.READ_ONLY) as browser:
        assert "bare" not in (await browser.get("/alarms?level=error")).text
        assert "Node has no TLS certificate" in (await browser.get("/alarms/history")).text


async def test_lists_of_alarms_are_in_pages(api: ApiClient, room: Showroom, monkeypatch):
    monkeypatch.setattr(alarms, "SIZE", 1)
    async with visitor(api, Role.READ_ONLY) as browser:
        assert "no TLS certificate" in (await browser.get("/alarms")).text
        second = (await browser.get("/alarms?page=2")).text
        assert "expires soon" in second
        assert "no TLS certificate" not in second


async def test_the_audit_log_is_searched_and_in_pages(api: ApiClient, monkeypatch):
    store = api.context.store
    for number in range(3):
        await store.audit.append(at_s=number, actor="ada", action="node.pet", subject=f"node n%{number}")
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        for query in ("actor=ADA", "action=pet", "subject=n%25"):
            answer = await browser.get(f"/audit?{query}")
            assert answer.text.count("node n%") == 3, query
            assert "user.added" not in answer.text, query
        # a percent sign is no wild card
        assert "No matches." in (await browser.get("/audit?subject=e%25n")).text
        monkeypatch.setattr(audit, "SIZE", 2)
        answer = await browser.get("/audit?actor=ada")
        assert "node n%0" not in answer.text
        older = answer.html.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
        answer = await browser.get(older.replace("&amp;", "&"))
        assert answer.text.count("node n%") == 1
        assert (await browser.get("/audit?before=x")).status == 400


async def test_whether_the_audit_log_was_altered_is_shown(api: ApiClient):
    store = api.context.store
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        answer = await browser.get("/audit/verify")
        found = await store.audit.verify()
        signed = await store.audit.signed_head(at_s=9.0)
        assert signed is not None
        assert "The log is intact" in answer.text
        assert "certcast-audit-1:" in answer.text
        for given, shown in (
            (signed.text, "The head that you kept is in the log"),
            (signed.text.replace(":9:", ":8:"), "was not signed by this log"),
            (found.head, "The hash that you noted is in the log"),
            ("0" * 63 + "1", "The hash that you noted is not in the log"),
        ):
            assert shown in (await browser.get(f"/audit/verify?head={given}")).text
        assert (await browser.get("/audit/verify?head=nonsense")).status == 400
        async with store.audit._database.write() as connection:
            await connection.exec_driver_sql("UPDATE audit SET actor = 'eve' WHERE id = 2")
        assert "The log is broken at entry 2" in (await browser.get("/audit/verify")).text


async def test_two_generations_are_compared_and_older_content_is_published_again(api: ApiClient):
    room = Showroom(api)
    await room.add_node("n1")
    first = await room.upload(["one.example.com"], days=100, nodes=["n1"], issuer=None, chain="")
    await api.fleet.push(None, forced=True)
    await room.upload(["two.example.com"], days=100, nodes=["n1"], issuer=None, chain="")
    await api.fleet.push(None, forced=True)
    numbers = [each.record.generation for each in await api.use_cases.generations.history("n1")]
    new, old = numbers[:2]
    async with visitor(api, Role.READ_ONLY) as browser:
        listed = await browser.get("/nodes/n1/generations")
        assert "two.example.com" in listed.text
        assert "Republish" not in listed.text
        answer = await browser.get(f"/nodes/n1/generations/compare?before={old}&after={new}")
        assert f"From generation {old} to {new}" in answer.text
        assert answer.text.index("one.example.com") < answer.text.index("two.example.com")
        assert "server/privkey.pem" in answer.text
        assert "PRIVATE KEY" not in answer.html
        assert (await browser.get("/nodes/n1/generations/compare?after=77")).status == 404
        unchosen = await browser.get("/nodes/n1/generations/compare")
        assert (unchosen.status, "Nothing was done Choose two generations to compare" in unchosen.text) == (
            400,
            True,
        )
        assert "Compare the two chosen ones" in unchosen.text, "it is the list"
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        asked = await browser.get(f"/nodes/n1/generations/{old}/republish")
        assert "It replaces the assigned content" in asked.text
        assert "two.example.com" in asked.text
        assert "It lacks names of certificate 2, which it replaces: two.example.com." in asked.text
        unsaid = await browser.post(f"/nodes/n1/generations/{old}/republish", {"confirm": ""})
        assert unsaid.status == 409
        assert "Nothing is published yet" in unsaid.text
        answer = await browser.post(
            f"/nodes/n1/generations/{old}/republish", {"confirm": unsaid.hidden["confirm"]}
        )
        assert f"published again as generation {new + 1}" in answer.text
        desired = api.fleet.node("n1").slots["server"].desired
        inventory = await api.use_cases.inventory()
        assert desired == inventory.entries[first].leaf.fingerprint
