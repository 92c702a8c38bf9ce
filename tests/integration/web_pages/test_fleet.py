import asyncio

import pytest

from common.api.codes import Role
from manager.web.pages import fleet as subject
from manager.web.pages import live
from tests.browser.showroom import Showroom
from tests.integration.api import USERS, ApiClient
from tests.integration.web import visitor
from tests.patience import PATIENCE_S


@pytest.fixture
async def room(api: ApiClient):
    made = Showroom(api)
    for name in ("n1", "n2"):
        await made.add_node(name)
    made.dial("n1")
    return made


@pytest.fixture
async def browser(api: ApiClient):
    async with visitor(api, Role.OPERATOR) as signed_in:
        yield signed_in


async def test_home_says_how_all_stand_what_is_wrong_and_what_expires(room, browser):
    await room.upload(["soon.example.com"], days=20, nodes=["n1"])
    await room.upload(["old.example.com"], days=-2)
    await room.require_confirmation()
    answer = await browser.get("/")
    for said in (
        "In sync 1",
        "Offline 1",
        "Node has no TLS certificate : n2",
        "TLS certificate has expired : old.example.com",
        "1 certificate has expired",
        "soon.example.com 2",
        "in 19 days",
        "1 node applied",
        "Median",
    ):
        assert said in answer.text, said
    assert "From 20" in answer.text  # a bar says which week it is


async def test_a_certificate_expires_or_has_expired(room, browser):
    for days, said in ((20, "(expires in 19 days)"), (-2, "(expired 2 days ago)")):
        number = await room.upload(["conf.example.com"], days=days)
        assert said in (await browser.get(f"/certificates/{number}")).text


async def test_an_empty_fleet_is_told_what_to_do_first(api, browser):
    answer = await browser.get("/")
    assert "Three steps to a first certificate" in answer.text
    assert "No node applied anything in the last 24 hours." in answer.text


async def test_the_plan_says_for_each_node_what_would_change_and_why(room, browser):
    await room.require_confirmation()
    await room.upload(["new.example.com"], days=90, nodes=["n1", "n2"])
    answer = await browser.get("/push?all=1")
    assert "server: nothing → CN=new.example.com" in answer.text
    assert "it is offline; it will be pushed when it connects" in answer.text
    one = await browser.get("/push?node=n1")
    assert "n2" not in one.text
    assert one.hidden["node"] == "n1"
    assert "Force the push to 1 node" in (await browser.get("/push?node=n1&forced=1")).text
    assert (await browser.get("/push?node=nowhere")).status == 404


async def test_a_push_goes_out_and_says_to_how_many(room, browser):
    await room.require_confirmation()
    # forced, because what was uploaded may be there by then
    await room.upload(["new.example.com"], days=90, nodes=["n1"])
    answer = await browser.post("/push", {"all": "1", "forced": "1"})
    assert answer.path == "/"
    assert "Pushing to 1 node." in answer.text
    assert ("operator", "fleet.pushed") in [
        (act.actor, act.action) for act in await room.api.context.store.audit.list()
    ]


async def test_no_tick_at_all_does_not_mean_every_node(room, browser):
    for answer in (await browser.post("/push", {}), await browser.get("/push")):
        assert answer.status == 400
        assert "tick at least one" in answer.text.lower()


async def test_who_may_only_look_has_no_button_to_push(room, api):
    async with visitor(api, Role.READ_ONLY) as reader:
        answer = await reader.get("/")
        assert "Push to all nodes" not in answer.text
        assert "Audit" not in answer.text
        assert (await reader.post("/push", {"all": "1"})).status == 403


async def test_who_watches_is_told_tiles_and_pushes_as_they_change(room, browser, monkeypatch):
    monkeypatch.setattr(subject, "PACE_S", 0.01)
    await room.require_confirmation()
    async with asyncio.timeout(PATIENCE_S), browser.session.get(f"{browser.url}/live/fleet") as stream:
        first = [(await stream.content.readuntil(b"\n\n")).decode() for _ in range(2)]
        assert first[0].startswith("event: tiles\ndata: ")
        assert first[1].startswith("event: wave\ndata: ")
        room.simulators["n1"].behaviour = "rolls_back"
        await room.upload(["new.example.com"], days=90, nodes=["n1"])
        await room.api.fleet.push(None, forced=False)
        while "rolled back" not in (await stream.content.readuntil(b"\n\n")).decode():
            pass


async def test_who_watches_is_told_of_an_alarm_that_comes_is_acknowledged_and_ends(
    room, browser, monkeypatch
):
    """No node changes with any of it."""
    monkeypatch.setattr(subject, "PACE_S", 0.01)
    monkeypatch.setattr(live, "PACE_S", 0.01)
    await room.require_confirmation()
    alarms = room.api.use_cases.alarms
    async with (
        asyncio.timeout(PATIENCE_S),
        browser.session.get(f"{browser.url}/live/fleet") as home,
        browser.session.get(f"{browser.url}/live/alarms") as page,
    ):

        async def shown(text: str) -> None:
            while text not in (await home.content.readuntil(b"\n\n")).decode():
                pass
            assert (await page.content.readuntil(b"\n\n")).startswith(b"event: changed")

        while not (await home.content.readuntil(b"\n\n")).startswith(b"event: alarms"):
            pass
        number = await room.upload(["old.example.com"], days=-2)
        await alarms.evaluator.evaluate(room.api.fleet)
        await shown("old.example.com")
        mine, *_ = [each for each in await alarms.active() if each.subject.key == f"certificate:{number}"]
        await browser.post("/alarms/acknowledge", {"id": str(mine.id)})
        await shown("event: alarms")
        await room.api.use_cases.certificates.delete([number], force=True, actor="test")
        await alarms.evaluator.evaluate(room.api.fleet)
        await shown("event: alarms")
    assert 'sse-swap="alarms"' in (await browser.get("/")).html
    assert 'sse-connect="/live/alarms"' in (await browser.get("/alarms")).html


async def test_a_nodes_page_is_told_of_its_own_alarms_and_no_others(room, browser, monkeypatch):
    monkeypatch.setattr(live, "PACE_S", 0.01)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    await room.require_confirmation()
    alarms = room.api.use_cases.alarms
    async with asyncio.timeout(PATIENCE_S), browser.session.get(f"{browser.url}/live/nodes/n2") as stream:
        assert await stream.content.readuntil(b"\n\n") == live.CHANGED, (
            "the page may have been drawn long ago"
        )
        await room.upload(["old.example.com"], days=-2)
        await alarms.evaluator.evaluate(room.api.fleet)
        for _ in range(3):
            assert await stream.content.readuntil(b"\n\n") == live.STILL_HERE
        (mine,) = [each for each in await alarms.active() if each.node == "n2"][:1]
        await alarms.acknowledge([mine.id], actor="test")
        while await stream.content.readuntil(b"\n\n") != live.CHANGED:
            pass


async def test_a_removed_user_does_not_watch_on(room, browser, monkeypatch):
    monkeypatch.setattr(subject, "PACE_S", 0.01)
    monkeypatch.setattr(subject, "HEARTBEAT_S", 0.05)
    async with asyncio.timeout(PATIENCE_S), browser.session.get(f"{browser.url}/live/fleet") as stream:
        await stream.content.readuntil(b"\n\n")
        await room.api.use_cases.users.remove(USERS[Role.OPERATOR], actor="test")
        # it ends, and cleanly
        await stream.content.read()


async def test_a_stream_needs_a_session(room, api):
    async with visitor(api) as stranger:
        assert (await stranger.get("/live/fleet")).path.startswith("/sign-in")


async def test_watching_does_not_keep_a_session_from_ending_unused(room, browser):
    token = next(each.value for each in browser.session.cookie_jar)
    sessions = room.api.use_cases.sessions
    now = [room.api.context.clock()]
    object.__setattr__(room.api.context, "clock", lambda: now[0])
    for _ in range(4):
        now[0] += 600
        found = await sessions.find(token, using=False)
    assert found is None


async def test_a_nodes_and_a_certificates_page_are_told_of_changes_of_their_nodes_alone(
    room, browser, monkeypatch
):
    monkeypatch.setattr(live, "PACE_S", 0.01)
    await room.require_confirmation()
    await room.upload(["live.example.com"], days=90, nodes=["n1"])
    number = max((await room.api.use_cases.inventory()).entries)
    page = await browser.get(f"/certificates/{number}")
    assert f'sse-connect="/live/certificates/{number}"' in page.html
    assert "of 1 node" in page.text
    # the change takes the certificate away from its node
    for path in (f"certificates/{number}", "nodes/n1"):
        async with asyncio.timeout(PATIENCE_S), browser.session.get(f"{browser.url}/live/{path}") as stream:
            await room.upload([f"{path.replace('/', '')}.example.com"], days=90, nodes=["n1"])
            await room.api.fleet.push(None, forced=False)
            while await stream.content.readuntil(b"\n\n") != b"event: changed\ndata: now\n\n":
                pass
    assert (await browser.get("/live/nodes/nowhere")).status == 404


async def test_a_live_page_does_not_outlive_its_session(room, browser, monkeypatch):
    monkeypatch.setattr(live, "PACE_S", 0.01)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    async with asyncio.timeout(PATIENCE_S), browser.session.get(f"{browser.url}/live/nodes/n1") as stream:
        await stream.content.readuntil(b"\n\n")
        await room.api.use_cases.users.remove(USERS[Role.OPERATOR], actor="test")
        await stream.content.read()
