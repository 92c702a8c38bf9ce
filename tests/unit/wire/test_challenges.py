"""What may stand in a set of challenges, and what nobody sees of it."""

import math

import msgspec
import pytest

from common.challenge import (
    CHALLENGES_MAX,
    LIFETIME_MAX_S,
    RESPONSE_MAX_CHARS,
    TOKEN_MAX_CHARS,
    is_response,
    is_token,
)
from common.errors import ProtocolError
from common.wire.challenges import Challenge, Challenges, ChallengesKept, NotKept
from common.wire.fields import PART_TEXT_MAX_CHARS
from common.wire.messages import decode, encode

GOOD = {"token": "aZ0_-", "text": "aZ0_-.thumb", "expires_in_s": 60.0}


def read(**other: object) -> Challenges:
    return read_set([{**GOOD, **other}])


def read_set(challenges: list[dict[str, object]]) -> Challenges:
    header = msgspec.msgpack.encode({"t": "challenges", "number": 1, "challenges": challenges})
    message = decode(header)
    assert isinstance(message, Challenges)
    return message


NO_TOKENS = ["", "../x", "a/b", ".", "..", "a.b", "a b", "a\0", "a\n", "é", "a" * (TOKEN_MAX_CHARS + 1)]


@pytest.mark.parametrize("token", NO_TOKENS)
def test_a_token_that_is_more_than_a_files_name_is_refused(token: str):
    assert not is_token(token)
    with pytest.raises(ProtocolError):
        read(token=token)


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "a\n", "<a>", "é", "a" * (RESPONSE_MAX_CHARS + 1)])
def test_an_answer_that_is_no_key_authorization_is_refused(text: str):
    assert not is_response(text)
    with pytest.raises(ProtocolError):
        read(text=text)


@pytest.mark.parametrize("expires_in_s", [-1.0, LIFETIME_MAX_S + 1, math.inf, math.nan])
def test_a_time_that_is_none_is_refused(expires_in_s: float):
    with pytest.raises(ProtocolError):
        read(expires_in_s=expires_in_s)


def test_more_than_a_node_may_show_is_refused():
    at_most = [{**GOOD, "token": f"t{number}"} for number in range(CHALLENGES_MAX)]
    assert len(read_set(at_most).challenges) == CHALLENGES_MAX
    with pytest.raises(ProtocolError):
        read_set([*at_most, GOOD])


def test_the_longest_token_and_answer_pass():
    token, text = "a" * TOKEN_MAX_CHARS, "b" * RESPONSE_MAX_CHARS
    assert is_token(token)
    assert is_response(text)
    assert read(token=token, text=text).challenges[0].text == text


def test_what_is_answered_stands_in_no_repr_and_in_no_error():
    message = read()
    assert "thumb" not in repr(message)
    assert "aZ0_-" in repr(message)
    with pytest.raises(ProtocolError) as refused:
        read(text="secret thumb")
    assert "thumb" not in str(refused.value)


def test_a_set_is_read_as_it_was_written():
    message = Challenges(number=7, challenges=[Challenge(**GOOD)])
    frame = encode(message)
    assert decode(frame[6 : 6 + int.from_bytes(frame[4:6], "big")]) == message


def test_the_largest_set_of_challenges_and_what_is_said_of_it_fit_into_a_frame():
    tokens = [f"{number:0{TOKEN_MAX_CHARS}}" for number in range(CHALLENGES_MAX)]
    challenges = Challenges(
        number=2**53,
        challenges=[
            Challenge(token=each, text="x" * RESPONSE_MAX_CHARS, expires_in_s=LIFETIME_MAX_S)
            for each in tokens
        ],
    )
    faults = [NotKept(token=each, message="\U0001f511" * PART_TEXT_MAX_CHARS) for each in tokens]
    for message in (challenges, ChallengesKept(number=2**53, not_kept=faults)):
        assert decode(encode(message)[6:]) == message
