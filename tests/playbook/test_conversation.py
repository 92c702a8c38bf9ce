import pytest

from common.bundle.build import Bundle
from common.errors import ProtocolError, Reason
from common.ids import NodeName
from common.wire.messages import (
    UPGRADE_RETRY_S,
    Accepted,
    Goodbye,
    Hello,
    Offer,
    Outcome,
    OutcomeAck,
    Payload,
    Progress,
    Rejected,
    Tick,
    Want,
    Welcome,
    decode,
    encode,
)
from common.wire.receiver import Disconnect, Receiver
from common.wire.sender import (
    CHECK_DEADLINE_S,
    GREETING_DEADLINE_S,
    SILENCE_DEADLINE_S,
    WANT_DEADLINE_S,
    Close,
    Overdue,
    PushAttempt,
    Sender,
)
from tests.bundles import NODE, opaque_bundle
from tests.fakes.localstate import MemoryLocalState
from tests.playbook.stage import Stage


def test_an_offer_is_fetched_installed_reported_and_acknowledged():
    stage = Stage()
    bundle = opaque_bundle()
    stage.offer(bundle)
    assert stage.installs[0].payloads == bundle.payloads
    stage.install()
    kinds = [type(message).__name__ for message in stage.log if not isinstance(message, Payload)]
    assert kinds == ["Hello", "Welcome", "Offer", "Want", "Accepted", "Outcome", "OutcomeAck"]
    assert stage.local.applied() == bundle.manifest
    assert stage.local.outcome is None
    assert stage.sender.outstanding is None


def test_only_payloads_that_the_node_lacks_travel():
    stage = Stage()
    stage.offer(opaque_bundle("old"))
    stage.install()
    trust = {
        entry.digest for entry in opaque_bundle("old").manifest.entries if entry.path.startswith("trust/")
    }
    stage.offer(opaque_bundle("new", generation=2), "push-2")
    wanted = set(stage.said(Want)[-1].digests)
    assert wanted
    assert not wanted & trust


def test_republished_content_travels_as_a_manifest_only():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.install()
    stage.offer(opaque_bundle(generation=2), "push-2")
    assert stage.said(Want)[-1].digests == []
    assert stage.installs[0].manifest.generation == 2


def test_the_same_generation_again_is_answered_without_a_second_install():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.install()
    stage.offer(opaque_bundle(), "push-2")
    assert stage.installs == []
    outcome = stage.received[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.push_id, outcome.result) == ("push-2", "applied")
    assert stage.local.installs == 1


def test_a_lost_outcome_is_said_again_after_a_reconnect_and_installs_nothing_twice():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.swallow = {Outcome}
    stage.install(ack=False)
    assert not any(isinstance(message, Outcome) for message in stage.received)
    stage.cut()
    stage.swallow = set()
    stage.connect()
    assert isinstance(stage.received[0], Outcome)
    stage.play_manager(stage.sender.acknowledge("push-1"))
    assert stage.local.outcome is None
    assert stage.local.installs == 1


def test_an_outcome_is_owed_until_it_is_acknowledged():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.install(ack=False)
    stage.cut()
    stage.connect()
    stage.cut()
    stage.connect()
    assert len(stage.said(Outcome)) == 3
    assert stage.said(OutcomeAck) == []


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (opaque_bundle("other", generation=4), Reason.STALE_GENERATION),
        (opaque_bundle("other", generation=5), Reason.STALE_GENERATION),
        (opaque_bundle("other", epoch=1, generation=9), Reason.EPOCH_CONFLICT),
        (opaque_bundle("other", generation=9, epoch=2, node=NodeName("n2")), Reason.WRONG_NODE),
    ],
)
def test_an_offer_that_would_go_back_is_refused_with_its_reason(offered: Bundle, reason: Reason):
    stage = Stage()
    stage.offer(opaque_bundle(generation=5, epoch=2))
    stage.install()
    if offered.manifest.epoch == 1 and reason is Reason.STALE_GENERATION:
        offered = opaque_bundle("other", generation=offered.manifest.generation, epoch=2)
    stage.offer(offered, "push-2")
    assert stage.installs == []
    assert isinstance(stage.received[-1], Rejected)
    assert stage.received[-1].reason == reason


def test_a_manifest_that_is_not_the_one_offered_is_refused():
    stage = Stage()
    offer = Offer(push_id="p", epoch=1, generation=1, digest="0" * 64)
    (send,) = stage.receiver.receive(offer, stage_manifest(opaque_bundle()), stage.now_s)
    assert send.message.reason == Reason.BAD_DIGEST


def stage_manifest(bundle: Bundle) -> bytes:
    from common.bundle.manifest import canonical

    return canonical(bundle.manifest)


def test_a_payload_whose_bytes_are_wrong_is_refused_and_nothing_is_installed():
    stage = Stage()
    bundle = opaque_bundle()
    stage.payloads = {digest: b"x" * len(body) for digest, body in bundle.payloads.items()}
    push = PushAttempt(push_id="p", manifest=bundle.manifest, digest=bundle.manifest.digest)
    stage.play_manager(stage.sender.offer(push, stage.now_s)[:1])
    assert stage.installs == []
    assert stage.received[-1].reason == Reason.BAD_DIGEST


def test_quarantined_content_is_refused_until_its_time_is_over_or_it_is_forced():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.roll_back()
    stage.offer(opaque_bundle(generation=2), "push-2")
    assert stage.received[-1].reason == Reason.QUARANTINED
    assert stage.received[-1].retry_after_s == 60
    stage.offer(opaque_bundle(generation=2), "push-3", forced=True)
    assert stage.installs[-1].forced
    stage.installs.clear()


def test_new_content_is_not_held_back_by_the_quarantine_of_the_old():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.roll_back()
    stage.offer(opaque_bundle("mended", generation=2), "push-2")
    assert len(stage.installs) == 1


def test_an_offer_made_before_the_first_is_accepted_replaces_it():
    stage = Stage()
    stage.swallow = {Want}
    stage.offer(opaque_bundle("one"), "push-1")
    stage.swallow = set()
    stage.offer(opaque_bundle("two", generation=2), "push-2")
    assert [install.push_id for install in stage.installs] == ["push-2"]
    assert stage.sender.outstanding.push_id == "push-2"


def test_of_the_offers_made_during_an_installation_only_the_newest_follows_it():
    stage = Stage()
    stage.offer(opaque_bundle("one"), "push-1")
    running = stage.installs.pop()
    stage.play_agent(stage.receiver.accepted(running.push_id, 60))
    stage.offer(opaque_bundle("two", generation=2), "push-2")
    stage.offer(opaque_bundle("three", generation=3), "push-3")
    assert stage.installs == []
    stage.play_agent(stage.receiver.concluded(stage.local.apply(running, stage.now_s), stage.now_s))
    assert [install.push_id for install in stage.installs] == ["push-3"]


def test_an_offer_that_arrives_on_a_new_connection_waits_for_the_installation_of_the_old():
    stage = Stage()
    stage.offer(opaque_bundle("one"), "push-1")
    running = stage.installs.pop()
    stage.cut()
    stage.connect()
    stage.offer(opaque_bundle("one"), "push-2")
    assert stage.installs == []
    outcome = stage.local.apply(running, stage.now_s)
    stage.play_agent(stage.receiver.concluded(outcome, stage.now_s))
    assert stage.local.installs == 1
    results = [(each.push_id, each.result) for each in stage.received if isinstance(each, Outcome)]
    assert results == [("push-1", "applied"), ("push-2", "applied")]


@pytest.mark.parametrize(
    ("swallowed", "deadline_s", "stage_name"),
    [(Want, WANT_DEADLINE_S, "want"), (Payload, CHECK_DEADLINE_S, "check")],
)
def test_an_agent_that_owes_an_answer_is_closed_at_its_deadline(
    swallowed: type, deadline_s: float, stage_name: str
):
    stage = Stage()
    stage.swallow = {swallowed}
    stage.offer(opaque_bundle())
    assert stage.sender.expire(stage.now_s + deadline_s - 1) == []
    overdue, close = stage.sender.expire(stage.now_s + deadline_s)
    assert overdue == Overdue("push-1", stage_name)
    assert isinstance(close, Close)


def test_an_agent_that_never_answers_is_closed_however_often_it_is_offered_something_newer():
    stage = Stage()
    stage.swallow = {Want}
    for generation in range(1, 6):
        stage.offer(opaque_bundle(f"leaf {generation}", generation=generation), f"push-{generation}")
        stage.now_s += WANT_DEADLINE_S / 4
    stage.play_manager(stage.sender.expire(stage.now_s))
    assert [type(end).__name__ for end in stage.ends] == ["Overdue", "Close"]


def test_an_installation_may_take_the_time_that_the_agent_announced():
    stage = Stage()
    stage.offer(opaque_bundle())
    stage.play_agent(stage.receiver.accepted("push-1", 100))
    assert stage.sender.expire(stage.now_s + 114) == []
    assert stage.sender.expire(stage.now_s + 115)[0] == Overdue("push-1", "outcome")


def test_an_agent_that_never_greets_or_falls_silent_is_closed():
    quiet = Sender(0.0)
    assert quiet.expire(GREETING_DEADLINE_S - 1) == []
    assert isinstance(quiet.expire(GREETING_DEADLINE_S)[0], Close)
    stage = Stage()
    stage.play_agent(stage.receiver.tick(stage.now_s))
    assert stage.sender.expire(stage.now_s + SILENCE_DEADLINE_S - 1) == []
    assert isinstance(stage.sender.expire(stage.now_s + SILENCE_DEADLINE_S)[0], Close)


def test_the_agent_obeys_a_verdict_and_comes_back_when_told():
    stage = Stage.__new__(Stage)
    Stage.__init__(stage)
    stage.cut()
    stage.connect(verdict="wait")
    disconnect = next(end for end in stage.ends if isinstance(end, Disconnect))
    assert disconnect.retry_after_s == 7


def test_goodbye_ends_the_conversation_with_a_time_to_come_back():
    stage = Stage()
    stage.play_manager(stage.sender.goodbye(Reason.BUSY, 3))
    assert Disconnect(Reason.BUSY, "the manager closed", 3) in stage.ends


def test_an_agent_of_an_unknown_protocol_is_told_to_upgrade_and_asks_again_within_minutes():
    sender = Sender(0.0)
    hello = Hello(protocol=99, node="n1", boot_id="b", agent_version="9", report=MemoryLocalState().report(0))
    welcome, close = sender.receive(hello, b"", 0.0)
    assert (welcome.message.verdict, welcome.message.retry_after_s) == ("upgrade", UPGRADE_RETRY_S)
    # while a manager is upgraded, a crowd of agents that were upgraded first neither waits for long nor hinders it
    assert 60 <= UPGRADE_RETRY_S <= 600
    assert close.reason == Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "message",
    [
        Want(push_id="p", digests=[]),
        Tick(report=MemoryLocalState().report(0)),
        Progress(push_id="p", phase="stage"),
    ],
)
def test_an_agent_that_speaks_before_its_welcome_breaks_the_protocol(message):
    with pytest.raises(ProtocolError):
        Sender(0.0).receive(message, b"", 0.0)


def test_an_agent_may_only_ask_for_what_was_offered_and_once():
    stage = Stage()
    stage.swallow = {Want}
    stage.offer(opaque_bundle())
    with pytest.raises(ProtocolError):
        stage.sender.receive(Want(push_id="push-1", digests=["0" * 64]), b"", 0.0)
    wanted = stage.said(Want)[0]
    stage.sender.receive(wanted, b"", 0.0)
    with pytest.raises(ProtocolError):
        stage.sender.receive(wanted, b"", 0.0)


def test_an_agent_that_accepts_a_push_again_and_again_gets_no_more_time_for_it():
    stage = Stage()
    stage.offer(opaque_bundle())
    accepted = Accepted(push_id="push-1", within_s=60)
    stage.sender.receive(accepted, b"", stage.now_s)
    deadline_s = stage.sender.deadline_s
    with pytest.raises(ProtocolError):
        stage.sender.receive(accepted, b"", stage.now_s + 50)
    assert stage.sender.deadline_s == deadline_s


@pytest.mark.parametrize("message", [Welcome(verdict="ok"), Goodbye(reason="busy", retry_after_s=1)])
def test_an_agent_may_not_say_what_only_a_manager_says(message):
    with pytest.raises(ProtocolError):
        Stage().sender.receive(message, b"", 0.0)


def test_the_manager_may_not_send_what_was_not_asked_for():
    stage = Stage()
    stage.swallow = {Payload}
    stage.offer(opaque_bundle())
    with pytest.raises(ProtocolError):
        stage.receiver.receive(Payload(push_id="push-1", digest="0" * 64), b"x", 0.0)


def test_the_manager_may_not_speak_before_its_welcome():
    receiver = Receiver(node=NODE, boot_id="b", instance="one", agent_version="0", local=MemoryLocalState())
    receiver.connect(0.0)
    with pytest.raises(ProtocolError):
        receiver.receive(OutcomeAck(push_id="p"), b"", 0.0)


def test_a_message_survives_the_wire():
    message = Progress(push_id="p", phase="reload", detail="nginx")
    frame = encode(message)
    assert decode(frame[6:]) == message
