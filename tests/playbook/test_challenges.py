"""Challenges: a node shows the newest whole set, and only what it says of that one counts."""

import pytest

from common.errors import ProtocolError
from common.wire.challenges import Challenge, Challenges, ChallengesKept, NotKept
from common.wire.messages import Welcome
from common.wire.receiver import Receiver, Show
from common.wire.sender import Received, Sender
from tests.bundles import NODE
from tests.fakes.localstate import MemoryLocalState
from tests.playbook.stage import Stage


def of_earlier_release() -> Stage:
    local = MemoryLocalState()
    local.held = None
    return Stage(local)


def tokens(challenges: Challenges) -> list[str]:
    return [each.token for each in challenges.challenges]


def welcomed() -> Receiver:
    receiver = Receiver(
        node=NODE, boot_id="boot", instance="one", agent_version="0", local=MemoryLocalState()
    )
    receiver.connect(0.0)
    receiver.receive(Welcome(verdict="ok"), b"", 0.0)
    return receiver


def test_a_set_is_sent_whole_and_its_number_is_answered():
    stage = Stage()
    stage.show(1, "a", "b")
    (shown,) = stage.shown
    assert tokens(shown) == ["a", "b"]
    stage.play_agent(stage.receiver.kept(shown, [NotKept(token="b", message="no room")]))
    assert stage.received == [ChallengesKept(number=1, not_kept=[NotKept(token="b", message="no room")])]


def test_what_comes_of_a_set_may_change_and_is_said_again():
    stage = Stage()
    stage.show(1, "a")
    for not_kept in ([NotKept(token="a", message="no room")], []):
        stage.play_agent(stage.receiver.kept(stage.shown[0], not_kept))
    assert [len(message.not_kept) for message in stage.received] == [1, 0]


def test_an_agent_of_an_earlier_release_is_never_sent_a_set():
    stage = of_earlier_release()
    stage.show(1, "a")
    stage.show(2)
    assert stage.said(Challenges) == []


def test_an_empty_set_is_sent_only_to_who_holds_any():
    stage = Stage()
    stage.show(1)
    assert stage.said(Challenges) == []
    stage.show(2, "a")
    stage.show(3)
    stage.show(4)
    assert [message.number for message in stage.said(Challenges)] == [2, 3]


def test_who_holds_something_of_an_earlier_connection_is_sent_the_empty_set():
    stage = Stage()
    stage.show(1, "a")
    stage.cut()
    stage.connect()
    stage.show(1)
    assert [tokens(message) for message in stage.said(Challenges)] == [["a"], []]


def test_what_is_said_of_a_set_that_a_newer_one_replaced_counts_for_nothing():
    stage = Stage()
    stage.show(1, "a")
    stage.show(2, "b")
    assert stage.receiver.kept(stage.shown[0], []) == []
    assert stage.sender.receive(ChallengesKept(number=1), b"", stage.now_s) == []


def test_what_came_of_a_set_of_an_earlier_connection_is_not_said_on_the_next():
    stage = Stage()
    stage.show(1, "a")
    earlier = stage.shown[0]
    stage.cut()
    stage.connect()
    stage.show(1, "a")
    assert earlier == stage.shown[0]
    assert stage.receiver.kept(earlier, []) == []
    assert len(stage.receiver.kept(stage.shown[0], [])) == 1


def test_an_agent_that_keeps_what_it_was_not_sent_is_cut_off():
    stage = Stage()
    stage.show(1, "a")
    with pytest.raises(ProtocolError, match="was not sent"):
        stage.sender.receive(ChallengesKept(number=2), b"", stage.now_s)


def test_an_agent_says_nothing_of_challenges_before_it_is_welcomed():
    with pytest.raises(ProtocolError, match="before it was welcomed"):
        Sender(0.0).receive(ChallengesKept(number=0), b"", 0.0)
    with pytest.raises(ProtocolError, match="before the welcome"):
        Sender(0.0).show(1, [])


@pytest.mark.parametrize("number", [0, 1])
def test_a_manager_whose_numbers_do_not_rise_is_cut_off(number: int):
    receiver = welcomed()
    assert isinstance(receiver.receive(Challenges(number=1, challenges=[]), b"", 0.0)[0], Show)
    with pytest.raises(ProtocolError, match="must increase"):
        receiver.receive(Challenges(number=number, challenges=[]), b"", 0.0)


def test_a_set_that_names_a_challenge_twice_is_refused():
    twice = [Challenge(token="a", text=text, expires_in_s=1) for text in ("x", "y")]
    with pytest.raises(ProtocolError, match="twice"):
        welcomed().receive(Challenges(number=1, challenges=twice), b"", 0.0)


def test_neither_side_takes_the_others_message():
    with pytest.raises(ProtocolError, match="only an agent"):
        welcomed().receive(ChallengesKept(number=1), b"", 0.0)
    stage = Stage()
    with pytest.raises(ProtocolError, match="only a manager"):
        stage.sender.receive(Challenges(number=1, challenges=[]), b"", 0.0)


def test_a_set_is_taken_while_an_installation_runs():
    stage = Stage()
    stage.show(1, "a")
    assert isinstance(stage.sender.receive(ChallengesKept(number=1), b"", stage.now_s)[0], Received)
