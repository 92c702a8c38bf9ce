"""Payloads that an offer carries: nobody waits for a word that is known beforehand."""

import msgspec
import pytest

from common.bundle.build import Bundle
from common.bundle.manifest import canonical
from common.errors import ProtocolError, Reason
from common.ids import Digest
from common.wire.messages import Accepted, Hello, Offer, Payload, Rejected, Want, decode, encode
from common.wire.sender import CHECK_DEADLINE_S, PushAttempt, Send, Sender
from tests.bundles import opaque_bundle
from tests.playbook.stage import Stage

FIRST, SECOND = opaque_bundle("old"), opaque_bundle("new", generation=2)
LACKED = {digest: body for digest, body in SECOND.payloads.items() if digest not in FIRST.payloads}


def running_first() -> Stage:
    stage = Stage()
    stage.offer(FIRST)
    stage.install()
    stage.log.clear()
    return stage


def offer(stage: Stage, bundle: Bundle, carried: dict[Digest, bytes], push_id: str = "push-2") -> None:
    stage.payloads |= bundle.payloads
    push = PushAttempt(
        push_id=push_id, manifest=bundle.manifest, digest=bundle.manifest.digest, carried=carried
    )
    stage.play_manager(stage.sender.offer(push, stage.now_s))


def test_an_offer_that_carries_all_that_is_lacked_is_installed_without_a_question():
    stage = running_first()
    offer(stage, SECOND, LACKED)
    assert stage.installs[0].payloads == LACKED
    stage.install()
    kinds = [type(message) for message in stage.log if not isinstance(message, Payload)]
    assert Want not in kinds
    assert kinds[:2] == [Offer, Accepted]
    assert stage.local.applied() == SECOND.manifest


def test_what_is_carried_leaves_in_the_same_write_as_its_offer():
    stage = running_first()
    push = PushAttempt(
        push_id="push-2", manifest=SECOND.manifest, digest=SECOND.manifest.digest, carried=LACKED
    )
    commands = stage.sender.offer(push, stage.now_s)
    assert [type(command) for command in commands] == [Send] * (1 + len(LACKED))
    assert commands[0].message.carried == list(LACKED)


def test_an_agent_asks_for_what_it_lacks_and_is_not_carried_only():
    stage = running_first()
    stage.local.payloads.clear()
    offer(stage, SECOND, LACKED)
    (want,) = stage.said(Want)
    assert set(want.digests) == SECOND.payloads.keys() - LACKED.keys()
    assert stage.installs[0].payloads == SECOND.payloads


def test_what_is_carried_though_it_is_held_does_no_harm():
    stage = running_first()
    offer(stage, SECOND, dict(SECOND.payloads))
    assert stage.installs[0].payloads == LACKED
    assert stage.said(Want) == []


def test_an_offer_that_is_refused_drops_what_it_carries():
    stage = running_first()
    stale = opaque_bundle("stale", generation=1)
    offer(stage, stale, dict(stale.payloads))
    assert stage.said(Rejected)[0].reason == Reason.STALE_GENERATION
    assert stage.installs == []


def test_an_agent_of_an_earlier_release_is_asked_first():
    stage = Stage()
    sender = Sender(stage.now_s)
    hello = msgspec.structs.replace(stage.said(Hello)[0], accepts_carried=False)
    sender.receive(hello, b"", stage.now_s)
    sender.welcome(stage.said(type(stage.log[1]))[0])
    commands = sender.offer(
        PushAttempt(
            push_id="p", manifest=FIRST.manifest, digest=FIRST.manifest.digest, carried=FIRST.payloads
        ),
        stage.now_s,
    )
    assert [command.message.carried for command in commands] == [[]]


def test_an_agent_that_still_installs_asks_for_what_was_carried_when_it_is_done():
    stage = Stage()
    stage.offer(FIRST)
    running = stage.installs.pop()
    stage.cut()
    stage.connect()
    offer(stage, SECOND, LACKED)
    assert stage.installs == []
    stage.play_agent(stage.receiver.concluded(stage.local.apply(running, stage.now_s), stage.now_s))
    (want,) = stage.said(Want)[1:]
    assert set(want.digests) == LACKED.keys()
    assert stage.installs[0].payloads == LACKED


def test_carried_bytes_that_are_not_what_their_digest_says_are_refused():
    stage = running_first()
    offer(stage, SECOND, dict.fromkeys(LACKED, b"x"))
    assert stage.said(Rejected)[0].reason == Reason.BAD_DIGEST
    assert stage.installs == []


def test_a_payload_that_is_neither_asked_for_nor_announced_ends_the_conversation():
    stage = running_first()
    message = Offer(push_id="p", epoch=1, generation=2, digest=SECOND.manifest.digest, carried=list(LACKED))
    stage.receiver.receive(message, canonical(SECOND.manifest), stage.now_s)
    with pytest.raises(ProtocolError):
        stage.receiver.receive(Payload(push_id="p", digest="0" * 64), b"x", stage.now_s)


def test_an_agent_that_was_given_all_has_the_time_of_its_checks_to_answer():
    stage = running_first()
    stage.swallow = {Offer}
    push = PushAttempt(
        push_id="push-2", manifest=SECOND.manifest, digest=SECOND.manifest.digest, carried=LACKED
    )
    stage.sender.offer(push, stage.now_s)
    assert stage.sender.deadline_s == stage.now_s + CHECK_DEADLINE_S


def test_the_fields_are_read_back_and_their_absence_means_none():
    frame = encode(Offer(push_id="p", epoch=1, generation=2, digest="ab" * 32, carried=["cd" * 32]))
    length = int.from_bytes(frame[4:6], "big")
    assert decode(frame[6 : 6 + length]).carried == ["cd" * 32]
    with pytest.raises(ProtocolError):
        decode(msgspec.msgpack.encode({"t": "want", "push_id": "p", "digests": ["cd" * 32] * 33}))
