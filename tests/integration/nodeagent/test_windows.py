"""Reloads that wait on purpose: for a window, or since the last one was not long ago."""

import shutil
from dataclasses import replace

import pytest

from common.ids import fingerprint_of
from nodeagent.core.services import Window
from nodeagent.install.installer import Installer
from nodeagent.install.state import ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    ROOT,
    TlsService,
    consumer,
    impatient,
    install,
    open_node,
    real_bundle,
    script,
    services,
)

DAY_S = 86_400
OLD = pki.make_leaf(ROOT, ["old.example.com"], not_after_s=pki.NOW_S + 90 * DAY_S)
NEWER = pki.make_leaf(ROOT, ["newer.example.com"])
OTHER = pki.make_leaf(ROOT)
NOON, NIGHT = 12 * 60, 3 * 60


def leaf_of(made):
    return fingerprint_of(made.certificate_der)


@pytest.fixture
async def service(tmp_path):
    async with TlsService(tmp_path / "data").run(OTHER, tmp_path) as running:
        yield running


@pytest.fixture
def sip(service, tmp_path):
    """A service whose reload ends calls, and may happen between two and four at night."""
    return replace(
        consumer(service.reload_script(tmp_path), port=service.port, name="sip"),
        impact="drops_calls",
        window=Window(start=2 * 60, end=4 * 60),
    )


async def start(tmp_path, sip, *others, minute=NOON, now_s=pki.NOW_S):
    state = await open_node(tmp_path / "data", services(sip, *others), now_s=now_s)
    state.minute = lambda _: minute
    await Installer(state).resume(progress=ignore_progress)
    return state


@pytest.fixture
async def node(tmp_path, sip):
    """It serves the old leaf; it is noon."""
    state = await start(tmp_path, sip, minute=NIGHT)
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    state.minute = lambda _: NOON
    return state


def waiting(state):
    return [(one.consumer, one.reason) for one in state.local.report(0).waiting]


def serving(state):
    return [seen.leaf for seen in state.local.serving]


async def test_a_reload_that_ends_calls_waits_while_the_generation_is_applied(node, service):
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.reloads, service.reloads) == ("applied", 0, 1)
    assert "'sip': it waits for its window, 02:00-04:00 local time" in outcome.message
    assert waiting(node) == [("sip", "window")]
    assert outcome.report.waiting[0].since_s == pki.NOW_S
    assert outcome.report.applied.generation == 2


async def test_others_are_reloaded_at_once(node, service, tmp_path):
    web = consumer(script(tmp_path / "web", f"echo x >{tmp_path}/web-reloaded"), name="web")
    node.services = services(*node.services.consumers, web)
    await Upkeep(node).turn()
    (tmp_path / "web-reloaded").unlink()
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.reloads, service.reloads) == (1, 1)
    assert (tmp_path / "web-reloaded").exists()
    assert waiting(node) == [("sip", "window")]


async def test_it_is_reloaded_and_proven_when_the_window_opens(node, service):
    await install(node, real_bundle(NEW, 2))
    upkeep = Upkeep(node)
    await upkeep.turn()
    assert (waiting(node), service.reloads) == ([("sip", "window")], 1)

    node.minute = lambda _: NIGHT
    await upkeep.turn()
    assert (waiting(node), service.reloads, serving(node)) == ([], 2, [leaf_of(NEW)])
    await upkeep.turn()
    assert service.reloads == 2


async def test_it_waits_on_after_a_restart(node, service, sip, tmp_path):
    await install(node, real_bundle(NEW, 2))
    again = await start(tmp_path, sip, now_s=pki.NOW_S + 500)
    await Upkeep(again).turn()

    assert (waiting(again), service.reloads) == ([("sip", "window")], 1)
    assert again.local.report(0).waiting[0].since_s == pki.NOW_S
    again.minute = lambda _: NIGHT
    await Upkeep(again).turn()
    assert (waiting(again), service.reloads) == ([], 2)


async def test_it_waits_on_after_a_crash_in_the_midst_of_the_installation(
    node, service, sip, tmp_path, monkeypatch
):
    web = consumer(script(tmp_path / "web", "exit 0"), name="web")
    node.services = services(*node.services.consumers, web)
    await Upkeep(node).turn()

    async def die(*args, **kwargs):
        shutil.copytree(tmp_path / "data", tmp_path / "crashed", symlinks=True)
        raise RuntimeError("the copy is what a crash would leave")

    monkeypatch.setattr("nodeagent.install.transaction.prove_forward", die)
    await install(node, real_bundle(NEW, 2))
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "crashed").rename(tmp_path / "data")
    again = await start(tmp_path, sip, web)

    assert again.local.applied().generation == 2
    assert (waiting(again), service.reloads) == ([("sip", "window")], 1)


async def test_a_newer_bundle_supersedes_what_waits(node, service):
    await install(node, real_bundle(NEW, 2))
    node.clock = lambda: pki.NOW_S + 500
    outcome = await install(node, real_bundle(NEWER, 3))
    assert (outcome.result, waiting(node)) == ("applied", [("sip", "window")])
    # it is due since the first change that it has not seen
    assert outcome.report.waiting[0].since_s == pki.NOW_S

    node.minute = lambda _: NIGHT
    await Upkeep(node).turn()
    assert (service.reloads, serving(node), waiting(node)) == (2, [leaf_of(NEWER)], [])


async def test_a_rollback_of_a_newer_bundle_does_not_reload_who_waits(node, service, tmp_path):
    web = consumer(script(tmp_path / "web", f"exit $(cat {tmp_path}/status)"), name="web")
    (tmp_path / "status").write_text("0")
    node.services = services(*node.services.consumers, web)
    await Upkeep(node).turn()
    await install(node, real_bundle(NEW, 2))
    (tmp_path / "status").write_text("1")
    outcome = await install(node, real_bundle(NEWER, 3))

    assert outcome.phase in {"reload", "rollback"}
    assert (service.reloads, waiting(node)) == (1, [("sip", "window")])
    (tmp_path / "status").write_text("0")
    node.minute = lambda _: NIGHT
    await Upkeep(node).turn()
    assert (serving(node), waiting(node)) == ([leaf_of(NEW)], [])


async def test_the_window_yields_when_the_served_certificate_is_about_to_expire(node, service):
    node.clock = lambda: pki.NOW_S + 89 * DAY_S + 60
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.reloads, serving(node)) == ("applied", 1, [leaf_of(NEW)])


async def test_what_waits_is_reloaded_as_soon_as_it_becomes_urgent(node, service):
    await install(node, real_bundle(NEW, 2))
    upkeep = Upkeep(node)
    node.clock = lambda: pki.NOW_S + 88 * DAY_S
    await upkeep.turn()
    assert (waiting(node), service.reloads) == ([("sip", "window")], 1)
    node.clock = lambda: pki.NOW_S + 89 * DAY_S + 60
    await upkeep.turn()
    assert (waiting(node), service.reloads, serving(node)) == ([], 2, [leaf_of(NEW)])


async def test_a_service_that_its_administrator_reloaded_meanwhile_waits_no_longer(node, service):
    await install(node, real_bundle(NEW, 2))
    service.load()
    await Upkeep(node).turn()

    assert (waiting(node), service.reloads, serving(node)) == ([], 1, [leaf_of(NEW)])


async def test_a_service_that_went_astray_waits_for_its_window_too_but_is_not_excused_meanwhile(
    node, service
):
    service.load_from(OTHER)
    upkeep = Upkeep(node)
    await upkeep.turn()
    # no wait is reported, so that the manager calls it not serving
    assert (waiting(node), service.reloads, serving(node)) == ([], 1, [leaf_of(OTHER)])

    node.minute = lambda _: NIGHT
    await upkeep.turn()
    assert (service.reloads, serving(node), node.local.report(0).drifts) == (2, [leaf_of(OLD)], 1)


async def test_a_service_that_is_declared_later_and_shows_the_right_thing_needs_no_reload(node, service, sip):
    node.services = services(*node.services.consumers, replace(sip, name="second"))
    await Upkeep(node).turn()

    assert (waiting(node), service.reloads) == ([], 1)
    assert "second" in node.file.journal.loaded


async def test_a_reload_waits_until_the_last_one_is_long_enough_ago(node, service, sip):
    node.services = services(replace(sip, window=None, min_interval_s=600))
    assert (await install(node, real_bundle(NEW, 2))).reloads == 0
    assert waiting(node) == [("sip", "interval")]
    node.clock = lambda: pki.NOW_S + 601
    await Upkeep(node).turn()

    assert (waiting(node), service.reloads, serving(node)) == ([], 2, [leaf_of(NEW)])


async def test_a_reload_that_fails_in_its_window_no_longer_waits_and_is_tried_again(node, service, tmp_path):
    await install(node, real_bundle(NEW, 2))
    script(tmp_path / "reload", f"echo x >>{tmp_path}/count; exit 1")
    node.services = impatient(node.services)
    node.minute = lambda _: NIGHT
    upkeep = Upkeep(node)
    for after_s, count in ((0, 1), (30, 1), (61, 2)):
        node.clock = lambda now_s=pki.NOW_S + after_s: now_s
        await upkeep.turn()
        assert len((tmp_path / "count").read_text().split()) == count

    assert waiting(node) == []
    assert serving(node) == [leaf_of(OLD)]
