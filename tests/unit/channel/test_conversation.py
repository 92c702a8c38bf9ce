"""The manager's end of a conversation: bytes in, commands out, and no transport."""

import pytest

from common.errors import ProtocolError, Reason
from common.ids import Digest
from common.wire import messages as wire
from common.wire.frames import FrameDecoder
from common.wire.sender import GREETING_DEADLINE_S, Fetch, Overdue, PushAttempt
from manager.channel.allowance import CONNECTIONS, Allowance
from manager.channel.conversation import Close, Conversation, LimitExceeded, Write
from manager.domain.report import Greeting, Report
from tests.bundles import opaque_bundle

NOW_S = 1000.0
HELLO = wire.encode(
    wire.Hello(protocol=1, node="n1", boot_id="b", agent_version="1", instance="i", report=wire.Report())
)
TICK = wire.encode(wire.Tick(report=wire.Report(drifts=3)))


def conversation() -> Conversation:
    return Conversation(NOW_S, Allowance(NOW_S))


def welcomed() -> Conversation:
    talk = conversation()
    list(talk.receive(HELLO, NOW_S))
    talk.welcome(server_time_s=5.0, epoch=1, contact=None)
    return talk


def messages(command: Write) -> list[wire.Message]:
    return [wire.decode(header) for header, _ in FrameDecoder().feed(command.data)]


def test_a_greeting_is_handed_on_and_answered_only_when_told_to():
    talk = conversation()
    assert list(talk.receive(HELLO, NOW_S)) == [
        [Greeting(node="n1", instance="i", agent_version="1", report=Report())]
    ]
    assert not talk.ready
    (answer,) = talk.welcome(server_time_s=5.0, epoch=1, contact=None)
    assert messages(answer) == [wire.Welcome(verdict="ok", server_time_s=5.0, epoch=1, contact=None)]
    assert talk.ready


def test_what_comes_in_one_piece_is_read_message_by_message_so_that_a_welcome_comes_in_time():
    talk = conversation()
    steps = talk.receive(HELLO + TICK, NOW_S)
    assert isinstance(next(steps)[0], Greeting)
    talk.welcome(server_time_s=5.0, epoch=1, contact=None)
    assert list(steps) == [[Report(drifts=3)]]


def test_a_node_that_is_not_welcomed_yet_says_nothing_else():
    with pytest.raises(ProtocolError):
        list(conversation().receive(HELLO + TICK, NOW_S))


def test_a_node_that_is_turned_away_is_told_why_before_the_end():
    talk = conversation()
    list(talk.receive(HELLO, NOW_S))
    shown, end = talk.turn_away("wait", retry_after_s=60.0, message="too much")
    assert messages(shown) == [wire.Welcome(verdict="wait", retry_after_s=60.0, message="too much")]
    assert end == Close(Reason.BUSY)


def test_payloads_that_follow_each_other_leave_in_one_write():
    talk, bundle = welcomed(), opaque_bundle()
    talk.offer(PushAttempt(push_id="p", manifest=bundle.manifest, digest=bundle.manifest.digest), NOW_S)
    digests = [entry.digest for entry in bundle.manifest.entries][:2]
    wanted = wire.encode(wire.Want(push_id="p", digests=list(digests)))
    assert list(talk.receive(wanted, NOW_S)) == [[Fetch("p", tuple(map(Digest, digests)))]]
    (sent,) = talk.supply("p", dict.fromkeys(digests, b"body"), NOW_S)
    assert messages(sent) == [wire.Payload(push_id="p", digest=digest) for digest in digests]


def test_a_push_without_an_answer_is_overdue_and_the_conversation_ends():
    talk = welcomed()
    talk.offer(
        PushAttempt(push_id="p", manifest=opaque_bundle().manifest, digest=opaque_bundle().manifest.digest),
        NOW_S,
    )
    assert talk.expire(talk.deadline_s) == [Overdue("p", "want"), Close(Reason.TIMEOUT)]


def test_a_peer_that_never_greets_is_closed():
    talk = conversation()
    assert talk.deadline_s == NOW_S + GREETING_DEADLINE_S
    assert talk.expire(talk.deadline_s - 1) == []
    assert talk.expire(talk.deadline_s) == [Close(Reason.TIMEOUT)]


def test_a_goodbye_is_said_before_the_end():
    said, end = welcomed().goodbye(Reason.CONFLICT, 30.0)
    assert messages(said) == [wire.Goodbye(reason="conflict", retry_after_s=30.0)]
    assert end == Close(Reason.CONFLICT)


def test_a_kind_of_message_that_comes_too_often_is_a_flood_of_its_name():
    allowance = Allowance(NOW_S)
    for _ in range(int(CONNECTIONS.burst)):
        allowance.take_message(wire.Hello, NOW_S)
    (commands,) = Conversation(NOW_S, allowance).receive(HELLO, NOW_S)
    assert commands == [LimitExceeded("messages of the kind 'hello'")]


def test_more_bytes_than_a_node_may_send_are_a_flood_before_they_are_read():
    allowance = Allowance(NOW_S)
    while allowance.take_bytes(len(HELLO), NOW_S):
        pass
    assert list(Conversation(NOW_S, allowance).receive(HELLO, NOW_S)) == [[LimitExceeded("bytes")]]
