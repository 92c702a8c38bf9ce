"""A manager that is hostile or broken: whatever it says is refused with a reason, changes nothing, and ends nothing."""

import msgspec
import pytest
from structlog.testing import capture_logs

from common.bundle.manifest import canonical
from common.wire.frames import encode_frame
from common.wire.messages import Outcome, OutcomeAck, Rejected, Tock, encode
from tests import pki
from tests.integration.agent_parts import consumer, script, services, snapshot
from tests.integration.conversation_parts import Manager, agent
from tests.integration.hostile import ATTACKS, EVIL, GOOD, OLD, offer, payload, whole


@pytest.fixture
def peer():
    return Manager()


@pytest.fixture
async def node(tmp_path, peer):
    """A node that has applied generation 5 of epoch 2."""
    reload = script(tmp_path / "reload", f"echo x >>{tmp_path}/count")
    async with agent(tmp_path / "data", services(consumer(reload)), peer.dial) as running:
        await peer.until(lambda: running.conversation.status.welcomed)
        await push(running, peer, OLD)
        yield running


async def push(node, peer, bundle):
    push_id = f"push-{bundle.manifest.generation}"
    peer.offer(bundle, push_id)
    await peer.until(lambda: push_id in {outcome.push_id for outcome in peer.said(Outcome)})
    await peer.until(lambda: node.state.file.journal.unacknowledged is None)
    assert peer.said(Outcome)[-1].result == "applied"


def standing(node):
    journal = node.state.file.journal
    return (
        journal.applied,
        journal.highest,
        journal.previous,
        journal.loaded,
        snapshot(node.state.tree.directory),
    )


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_what_a_hostile_manager_says_is_refused_changes_nothing_and_a_good_push_follows(
    node, peer, tmp_path, attack
):
    before = standing(node)
    with capture_logs() as lines:
        peer.far.write(attack.frames)
        if attack.closes:
            await peer.until(lambda: peer.connections == 2 and node.conversation.status.welcomed)
        else:
            await peer.until(lambda: peer.said(Rejected))

    if attack.closes:
        assert [line["reason"] for line in lines if line["event"] == "manager.lost"] == [attack.reason]
        assert peer.said(Rejected) == []
    else:
        (rejected,) = peer.said(Rejected)
        assert (rejected.push_id, rejected.reason) == ("evil", attack.reason), rejected.message
        assert rejected.message
        assert peer.connections == 1
    assert standing(node) == before
    assert (tmp_path / "count").read_text().split() == ["x"]

    await push(node, peer, GOOD)
    assert (tmp_path / "data/current/server/certificate.pem").read_bytes() in GOOD.payloads.values()


async def test_an_offer_that_comes_three_times_is_installed_once(node, peer, tmp_path):
    frame = offer(canonical(EVIL.manifest), push_id="push-6")
    peer.far.write(frame * 3 + whole(EVIL, push_id="push-6"))
    await peer.until(lambda: peer.said(Outcome)[-1].push_id == "push-6")
    peer.far.write(frame)
    await peer.until(lambda: peer.said(Outcome)[-1].message == "it is already applied")

    assert [outcome.result for outcome in peer.said(Outcome)] == ["applied"] * 3
    assert (tmp_path / "count").read_text().split() == ["x", "x"]


async def test_consumers_commands_and_copies_beside_an_offer_are_not_even_looked_at(node, peer, tmp_path):
    mark = tmp_path / "evil"
    fields = {
        "t": "offer",
        "push_id": "push-6",
        "epoch": EVIL.manifest.epoch,
        "generation": EVIL.manifest.generation,
        "digest": EVIL.manifest.digest,
        "reload": ["/bin/touch", str(mark)],
        "consumers": [{"name": "web", "uses": ["server"], "reload": ["/bin/touch", str(mark)]}],
        "copies": [{"file": "server/privkey.pem", "to": str(mark)}],
    }
    frame = encode_frame(msgspec.msgpack.encode(fields), canonical(EVIL.manifest))
    peer.far.write(frame + whole(EVIL, push_id="push-6"))
    await peer.until(lambda: peer.said(Outcome)[-1].push_id == "push-6")

    assert peer.said(Outcome)[-1].result == "applied"
    assert not mark.exists()
    assert (tmp_path / "count").read_text().split() == ["x", "x"]


async def test_payloads_of_an_offer_that_never_was_are_dropped(node, peer):
    before = standing(node)
    peer.far.write(payload("cd" * 32, b"x" * 4096) * 100)
    await push(node, peer, GOOD)

    assert standing(node) != before
    assert peer.connections == 1


async def test_a_frame_that_never_ends_changes_nothing(node, peer):
    before = standing(node)
    peer.far.write(offer(canonical(EVIL.manifest))[:-1])
    peer.far.close()
    await peer.until(lambda: peer.connections == 2 and node.conversation.status.welcomed)

    assert standing(node) == before
    await push(node, peer, GOOD)


async def test_a_manager_that_says_a_thing_without_end_makes_nothing_grow(node, peer, record_property):
    peer.acknowledges = False
    peer.offer(GOOD, "owed")
    await peer.until(lambda: peer.said(Outcome)[-1].push_id == "owed")
    far_s = pki.NOW_S + 86_400
    async with node.state.lock:
        # nothing is done meanwhile
        for number in range(100):
            clock = Tock(server_time_s=pki.NOW_S + number % 2 * 3600, epoch=1)
            acknowledged = encode(OutcomeAck(push_id="owed")) + encode(OutcomeAck(push_id=f"{number:0100}"))
            peer.far.write(acknowledged * 50 + encode(clock))
        peer.far.write(encode(Tock(server_time_s=far_s, epoch=1)))
        await peer.until(lambda: (node.conversation._manager_clock.now_s() or 0) >= far_s)
        waiting = len(node.conversation._jobs)
    record_property("jobs that wait", waiting)
    assert waiting <= 2
    await peer.until(lambda: node.state.file.journal.unacknowledged is None)
    assert peer.connections == 1


async def test_an_acknowledgement_of_something_else_does_not_stand_in_for_the_one_that_is_owed(node, peer):
    peer.acknowledges = False
    peer.offer(GOOD, "owed")
    await peer.until(lambda: peer.said(Outcome)[-1].push_id == "owed")
    async with node.state.lock:
        peer.far.write(b"".join(encode(OutcomeAck(push_id=one)) for one in ("other", "owed", "another")))
    await peer.until(lambda: node.state.file.journal.unacknowledged is None)
