"""Messages of a server as the driver gets them: those that belong to it pass whole, in whichever pieces they come."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Reason
from manager.store.message_screen import (
    HANDSHAKE_MAX_BYTES,
    MESSAGE_MAX_BYTES,
    SCRAM_ROUNDS_MAX,
    NotAcceptedError,
    Screening,
)
from tests.fakes.postgresql_server import (
    CLEARTEXT,
    CONTINUE,
    FINAL,
    LET_IN,
    MD5,
    MECHANISMS,
    READY,
    SASL,
    message,
    request,
    setting,
    welcome,
)

FIRST = request(CONTINUE, b"r=abc+/def,s=c2FsdA==,i=4096")
PROOF = request(FINAL, b"v=" + base64.b64encode(bytes(32)))
SCRAM = MECHANISMS + FIRST + PROOF
ANSWER = (
    message("1") + message("t", b"\0\0") + message("T", b"\0\0") + message("2") + message("D", b"\0\0") * 3
)
DONE = message("C", b"SELECT 3\0") + READY
NOTICE = message("N", b"SNOTICE\0C00000\0M\0\0")
NOTIFICATION = message("A", struct.pack("!I", 7) + b"certcast\0\0")
ERROR = message("E", b"SERROR\0C57014\0Mx\0\0")
CONVERSATION = SCRAM + welcome() + ANSWER + DONE + NOTICE + NOTIFICATION + ERROR + READY


def proven() -> Screening:
    return Screening(is_proven=True, has_password=True)


def on_a_port() -> Screening:
    return Screening(is_proven=False, has_password=True)


def ready() -> Screening:
    screening = proven()
    assert screening.take(welcome()) == welcome()
    return screening


@given(cuts=st.lists(st.integers(0, len(CONVERSATION)), max_size=30))
def test_a_whole_conversation_passes_as_it_is_in_whichever_pieces_it_comes(cuts):
    for screening in (proven(), on_a_port()):
        passed = b""
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(CONVERSATION)], strict=True):
            whole = screening.take(CONVERSATION[start:end])
            passed += whole
        assert passed == CONVERSATION


def test_only_whole_messages_pass():
    screening = ready()
    first, second = message("D", b"\0\0" + bytes(50)), message("D", b"\0\0" + bytes(70))
    assert screening.take(first + second[:30]) == first
    assert screening.take(second[30:60]) == b""
    assert screening.take(second[60:]) == second


@pytest.mark.parametrize("said", [request(CLEARTEXT), request(MD5, b"salt"), SCRAM, b""])
def test_a_server_that_is_proven_may_ask_as_it_likes(said):
    assert proven().take(said + welcome()) == said + welcome()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (LET_IN, "without proving that it is the server"),
        (request(CLEARTEXT), "says 'password'"),
        (request(MD5, b"salt"), "says 'md5'"),
        (request(SASL, b"SCRAM-SHA-256-PLUS\0\0"), "by a method that is not supported here"),
        (request(7), "by a method that is not supported here"),
    ],
)
def test_a_server_on_a_port_must_prove_itself_by_scram(said, found):
    with pytest.raises(NotAcceptedError, match=found) as caught:
        on_a_port().take(said)
    assert caught.value.reason is Reason.UNAUTHENTICATED


@pytest.mark.parametrize(
    "said",
    [
        PROOF,
        FIRST,
        MECHANISMS + PROOF,
        MECHANISMS + LET_IN,
        MECHANISMS + FIRST + LET_IN,
        MECHANISMS + MECHANISMS,
        SCRAM + READY,
        SCRAM + LET_IN + LET_IN,
        SCRAM + LET_IN + message("D", b"\0\0"),
        ERROR + ERROR,
        request(CLEARTEXT) + request(CLEARTEXT),
        MECHANISMS + request(CONTINUE, b"r=abc,s=c2FsdA==,i=4096,i=1"),
        MECHANISMS + request(CONTINUE, b"r=abc,s=c2FsdA==,i=0"),
        MECHANISMS + request(CONTINUE, b"r=abc,s=c2FsdA==,i=99999999999"),
        MECHANISMS + FIRST + request(FINAL, b"e=other-error"),
    ],
)
@pytest.mark.parametrize("is_proven", [True, False])
def test_what_is_out_of_turn_does_not_pass(said, is_proven):
    with pytest.raises(NotAcceptedError):
        Screening(is_proven=is_proven, has_password=True).take(said)


@pytest.mark.parametrize(
    "said",
    [
        bytes(5),
        b"D" + bytes(4),
        b"D\0\0\0\3",
        b"D" + struct.pack("!i", -5),
        b"D" + struct.pack("!I", MESSAGE_MAX_BYTES + 1),
        message("S", b"name"),
        message("S", b"name\0value"),
        message("E", b"SERROR\0"),
        message("E", b"SERROR\0\0\0"),
        message("E", b""),
        message("N", b"SNOTICE"),
        message("A", b"\0\0\0\1a\0"),
        message("Z", b"X"),
        message("Z", b""),
        message("C", b"SELECT"),
        message("C", b"SELECT\0more\0"),
        message("1", b"more"),
        message("T", b"\0"),
        message("D", b"\0"),
        message("G", bytes(3)),
        message("K", bytes(8)),
        LET_IN,
    ],
)
def test_what_a_server_would_never_say_does_not_pass(said):
    with pytest.raises(NotAcceptedError, match="no message of PostgreSQL"):
        ready().take(said)


@pytest.mark.parametrize("rounds", [1, 4096, SCRAM_ROUNDS_MAX])
def test_rounds_up_to_the_bound_are_done(rounds):
    said = MECHANISMS + request(CONTINUE, b"r=abc,s=c2FsdA==,i=%d" % rounds)
    assert on_a_port().take(said) == said


def test_rounds_beyond_are_not():
    said = MECHANISMS + request(CONTINUE, b"r=abc,s=c2FsdA==,i=%d" % (SCRAM_ROUNDS_MAX + 1))
    with pytest.raises(
        NotAcceptedError, match=f"{SCRAM_ROUNDS_MAX + 1} rounds of SCRAM, and no more than {SCRAM_ROUNDS_MAX}"
    ):
        on_a_port().take(said)


@pytest.mark.parametrize("asked", [MECHANISMS, request(CLEARTEXT), request(MD5, b"salt")])
def test_without_a_password_none_is_given(asked):
    with pytest.raises(NotAcceptedError, match="and the URL has none"):
        Screening(is_proven=True, has_password=False).take(asked)


def test_all_that_is_said_before_a_server_is_ready_has_one_bound():
    screening, each = proven(), setting("name", "x" * 1000)
    screening.take(LET_IN)
    fitting = (HANDSHAKE_MAX_BYTES - len(LET_IN)) // len(each) - 1
    assert all(screening.take(each) == each for _ in range(fitting))
    with pytest.raises(NotAcceptedError):
        screening.take(each * 2)


def test_a_large_row_passes_and_is_copied_a_few_times_only():
    screening, row = ready(), message("D", b"\0\1" + bytes(4 * 1024 * 1024))
    passed = b"".join(screening.take(row[start : start + 65536]) for start in range(0, len(row), 65536))
    assert passed == row
