"""The agent's conversation with a manager's real end, over a pipe that can be cut."""

import asyncio

import pytest

from common.errors import AccessError, Reason
from common.wire.contact import GO_ELSEWHERE
from common.wire.messages import Accepted, Hello, Outcome, Rejected, Tick, Welcome
from nodeagent.channel import conversation as module
from nodeagent.channel import managerclock
from nodeagent.channel.backoff import Backoff
from nodeagent.health.checks import Health
from nodeagent.install import tree
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OLD,
    ROOT,
    consumer,
    open_node,
    real_bundle,
    script,
    services,
    with_trust,
)
from tests.integration.conversation_parts import Manager, StubRoute, agent, make_conversation
from tests.patience import PATIENCE_S


@pytest.fixture
def peer():
    return Manager()


@pytest.fixture
def reload(tmp_path):
    """A reload that takes as long as the file `hold` exists, and counts."""
    return script(
        tmp_path / "reload", f"echo x >>{tmp_path}/count; while [ -e {tmp_path}/hold ]; do sleep 0.02; done"
    )


@pytest.fixture
async def node(tmp_path, reload, peer):
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial) as running:
        await peer.until(lambda: running.conversation.status.welcomed)
        yield running


def reloads(tmp_path):
    return len((tmp_path / "count").read_text().split())


async def test_an_offer_becomes_an_outcome_that_is_forgotten_once_acknowledged(node, peer):
    peer.offer(real_bundle(OLD, 1), "a")
    await peer.until(lambda: peer.said(Outcome))
    await peer.until(lambda: node.state.file.journal.unacknowledged is None)

    (outcome,) = peer.said(Outcome)
    assert (outcome.push_id, outcome.result) == ("a", "applied")
    assert peer.said(Accepted)[0].within_s >= 10


async def test_an_installation_outlives_the_connection_and_is_not_repeated(node, peer, tmp_path):
    (tmp_path / "hold").touch()
    peer.offer(real_bundle(OLD, 1), "a")
    await peer.until((tmp_path / "count").exists)
    peer.far.close()
    await peer.until(lambda: peer.connections == 2)
    (tmp_path / "hold").unlink()
    await peer.until(lambda: peer.said(Outcome))

    assert [outcome.result for outcome in peer.said(Outcome)] == ["applied"]
    assert reloads(tmp_path) == 1


async def test_an_outcome_is_sent_again_until_it_is_acknowledged(node, peer, tmp_path):
    peer.acknowledges = False
    peer.offer(real_bundle(OLD, 1), "a")
    await peer.until(lambda: peer.said(Outcome))
    peer.far.close()
    await peer.until(lambda: len(peer.said(Outcome)) == 2)
    peer.acknowledges = True
    peer.far.close()
    await peer.until(lambda: node.state.file.journal.unacknowledged is None)

    assert {outcome.push_id for outcome in peer.said(Outcome)} == {"a"}
    assert reloads(tmp_path) == 1


async def test_a_refused_bundle_is_told_with_its_reason(node, peer):
    peer.offer(real_bundle(OLD, 1), "good")
    await peer.until(lambda: peer.said(Outcome))
    peer.offer(real_bundle(NEW, 2, key_of=OLD), "bad")
    await peer.until(lambda: peer.said(Rejected))

    (rejected,) = peer.said(Rejected)
    assert (rejected.reason, rejected.retry_after_s) == (Reason.KEY_MISMATCH, 60)
    assert rejected.report.last_failed.result == "rejected"


async def test_an_error_of_the_agents_own_is_told_and_the_next_offer_is_taken(node, peer, monkeypatch):
    async def broken(*args, **kwargs):
        raise RuntimeError("a defect")

    monkeypatch.setattr(node.conversation._installer, "install", broken)
    peer.offer(real_bundle(OLD, 1), "a")
    await peer.until(lambda: peer.said(Rejected))
    monkeypatch.undo()
    peer.offer(real_bundle(OLD, 1), "b")
    await peer.until(lambda: peer.said(Outcome))

    assert peer.said(Rejected)[0].reason == Reason.INTERNAL
    assert peer.said(Outcome)[0].result == "applied"


async def test_a_manager_that_breaks_the_protocol_is_hung_up_on_and_dialled_again(node, peer):
    peer.far.write(b"\xff\xff\xff\xff")
    await peer.until(lambda: peer.connections == 2)


async def test_a_manager_that_falls_silent_is_dialled_again(node, peer, monkeypatch):
    peer.silent = True
    monkeypatch.setattr(module, "SILENCE_S", 0.1)
    await peer.until(lambda: peer.connections == 2)
    assert "silent" in node.conversation.status.trouble or node.conversation.status.welcomed


async def test_a_manager_that_was_away_is_reached_when_it_is_back(node, peer):
    peer.away = True
    peer.far.close()
    await peer.until(lambda: "away" in node.conversation.status.trouble)
    peer.away = False
    await peer.until(lambda: peer.connections == 2)


async def test_a_verdict_to_wait_is_obeyed(tmp_path, reload, peer):
    peer.welcome = Welcome(verdict="wait", retry_after_s=40)
    state = await open_node(tmp_path / "data", services(consumer(reload)))
    route = StubRoute(peer.dial)
    talk = make_conversation(state, route)

    assert 40 <= await talk._converse() <= 50
    assert route.avoided == 1


@pytest.mark.parametrize(("reason", "avoided"), [(Reason.BUSY, 0), (GO_ELSEWHERE, 1)])
async def test_a_manager_that_sends_a_node_away_is_avoided_only_if_it_may_take_none(
    tmp_path, reload, peer, reason: Reason, avoided: int
):
    state = await open_node(tmp_path / "data", services(consumer(reload)))
    route = StubRoute(peer.dial)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        conversing = tasks.create_task(make_conversation(state, route)._converse())
        await peer.until(lambda: peer.said(Hello))
        peer.play(peer.sender.goodbye(reason, 2.0))

    assert 2 <= conversing.result() <= 3
    assert route.avoided == avoided


def test_attempts_are_spread_and_never_more_than_half_a_minute_apart():
    backoff = Backoff(lambda low, high: high)

    pauses = [backoff.pause_s(0) for _ in range(12)]
    assert pauses[0] == pytest.approx(1.0)
    assert pauses[-1] == pytest.approx(30.0)
    assert pauses == sorted(pauses)


async def test_lost_content_is_sent_again_without_an_operator(node, peer, tmp_path):
    bundle = real_bundle(OLD, 1)
    peer.offer(bundle, "a")
    await peer.until(lambda: node.state.file.journal.applied is not None)
    (tmp_path / "data/current/server/privkey.pem").write_text("gone")
    node.conversation.upkeep_soon()
    await peer.until(lambda: any(tick.report.applied is None for tick in peer.said(Tick)))
    peer.offer(bundle, "b")
    await peer.until(lambda: len(peer.said(Outcome)) == 2)

    assert (tmp_path / "data/current/server/privkey.pem").read_text() == OLD.key_pem


async def test_a_restarted_agent_owes_and_reports_what_it_did_before(tmp_path, reload, peer):
    peer.acknowledges = False
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial) as running:
        await peer.until(lambda: running.conversation.status.welcomed)
        peer.offer(real_bundle(OLD, 1), "a")
        await peer.until(lambda: peer.said(Outcome))
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial):
        await peer.until(lambda: len(peer.said(Outcome)) == 2)

    assert peer.received[-2].report.applied.generation == 1
    assert reloads(tmp_path) == 1


async def test_an_agent_stopped_in_the_middle_of_a_reload_ends_the_installation_at_its_next_start(
    tmp_path, reload, peer
):
    (tmp_path / "hold").touch()
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial) as running:
        await peer.until(lambda: running.conversation.status.welcomed)
        peer.offer(real_bundle(OLD, 1), "a")
        await peer.until((tmp_path / "count").exists)
    (tmp_path / "hold").unlink()
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial):
        await peer.until(lambda: peer.said(Outcome))

    (outcome,) = peer.said(Outcome)
    assert (outcome.push_id, outcome.result) == ("a", "applied")


async def test_readiness_follows_the_managers_word(node, peer, monkeypatch):
    peer.offer(real_bundle(OLD, 1), "a")
    await peer.until(lambda: node.state.file.journal.applied is not None)
    assert all(check.ok for check in node.health.ready())

    last_seen_s = node.conversation.status.last_seen_s
    later = Health(
        state=node.state,
        status=node.conversation.status,
        is_recovered=node.conversation.recovered.is_set,
        monotonic=lambda: last_seen_s + 151,
    )
    assert [check.name for check in later.ready() if not check.ok] == ["manager"]


async def test_a_certificate_that_was_not_valid_yet_is_asked_for_at_the_second_in_which_it_begins(
    node, peer, monkeypatch
):
    later = pki.make_leaf(ROOT, ["later.example.com"], not_before_s=pki.NOW_S + 240)
    peer.offer(real_bundle(OLD, 1), "now")
    await peer.until(lambda: peer.said(Outcome))
    peer.offer(real_bundle(later, 2), "later")
    await peer.until(lambda: peer.said(Rejected))
    assert peer.said(Rejected)[0].reason == Reason.NOT_YET_VALID
    peer.silent = True  # its own clock stands still
    node.conversation._tick_s = float("inf")  # and no minute passes
    ticks, booted_s = len(peer.said(Tick)), managerclock.since_boot_s()
    monkeypatch.setattr(managerclock, "since_boot_s", lambda: booted_s + 240)
    # this clock was set back by 100 s meanwhile, so that by it the rest would last as much longer
    node.state.clock = lambda: pki.NOW_S + 140

    await peer.until(lambda: len(peer.said(Tick)) > ticks)
    assert peer.said(Tick)[-1].report.last_failed.retry_after_s == 0
    peer.offer(real_bundle(later, 2), "again")
    await peer.until(lambda: len(peer.said(Outcome)) == 2)
    assert peer.said(Outcome)[-1].result == "applied"


async def test_a_clock_that_was_corrected_is_told_at_once_and_what_it_refused_is_taken(node, peer):
    peer.offer(real_bundle(OLD, 1), "first")
    await peer.until(lambda: peer.said(Outcome))
    node.state.clock = lambda: pki.NOW_S - 366 * pki.DAY_S
    await peer.until(lambda: node.conversation.status.skew_s < -pki.DAY_S)
    peer.offer(real_bundle(NEW, 2), "refused")
    await peer.until(lambda: peer.said(Rejected))
    assert peer.said(Rejected)[0].reason == Reason.CLOCK_SKEW
    node.conversation._tick_s = float("inf")  # no minute passes
    ticks = len(peer.said(Tick))

    node.state.clock = lambda: pki.NOW_S
    await peer.until(lambda: len(peer.said(Tick)) > ticks)
    peer.offer(real_bundle(NEW, 2), "taken")
    await peer.until(lambda: len(peer.said(Outcome)) == 2)


async def test_a_part_that_a_clock_ahead_refused_is_taken_as_soon_as_the_clock_is_right(node, peer):
    peer.offer(real_bundle(OLD, 1), "first")
    await peer.until(lambda: peer.said(Outcome))
    node.state.clock = lambda: pki.NOW_S + 366 * pki.DAY_S
    await peer.until(lambda: node.conversation.status.skew_s > pki.DAY_S)
    offered = with_trust(real_bundle(NEW, 2), ROOT.certificate_pem * 2)
    peer.offer(offered, "in part")
    await peer.until(lambda: len(peer.said(Outcome)) == 2)
    (refused,) = peer.said(Outcome)[-1].report.refused
    assert (refused.part, refused.reason) == ("server", Reason.CLOCK_SKEW)
    node.conversation._tick_s = float("inf")  # no minute passes
    ticks = len(peer.said(Tick))

    # its rest ends far in the future of the right clock
    node.state.clock = lambda: pki.NOW_S
    await peer.until(lambda: len(peer.said(Tick)) > ticks)
    assert peer.said(Tick)[-1].report.last_failed.retry_after_s == 0
    peer.offer(offered, "whole")
    await peer.until(lambda: len(peer.said(Outcome)) == 3)
    assert peer.said(Outcome)[-1].report.refused == []


async def test_room_that_was_made_ends_the_rest_of_what_found_none(node, peer, monkeypatch):
    monkeypatch.setattr(tree, "MARGIN_BYTES", 1 << 60)
    peer.offer(real_bundle(OLD, 1), "full")
    await peer.until(lambda: peer.said(Rejected))
    assert peer.said(Rejected)[0].reason == Reason.NO_SPACE
    monkeypatch.undo()
    node.conversation.upkeep_soon()
    await peer.until(
        lambda: any(
            one.report.last_failed and not one.report.last_failed.retry_after_s for one in peer.said(Tick)
        )
    )


async def test_a_manager_that_does_not_know_the_key_is_told_apart_from_one_out_of_reach(node, peer):
    async def unknown(_peer):
        raise AccessError("it does not know this node's key", reason=Reason.FORBIDDEN)

    assert node.conversation.status.reason is None
    node.conversation._route = StubRoute(unknown)
    peer.far.close()
    await peer.until(lambda: node.conversation.status.reason == Reason.FORBIDDEN)
