import base64

import pytest

from common.errors import InvalidInputError, ProtocolError, Reason
from common.wire.enrolment import (
    ENROL_MAX_BYTES,
    TOKEN_PREFIX,
    EnrolDecoder,
    EnrolReply,
    EnrolRequest,
    decode_token,
    rotation_statement,
)
from common.wire.frames import encode_frame
from common.wire.joining import TOKEN_MAX_CHARS, only_frame

NESTED = b"\x81\xa1x" + b"\x91" * (ENROL_MAX_BYTES - 64) + b"\xc0"
"""A field that nobody knows, as deep as a frame of the join conversation can hold."""


def test_a_question_or_answer_that_is_nested_without_end_is_one_that_cannot_be_read():
    for read in (EnrolDecoder().request, EnrolDecoder().reply):
        with pytest.raises(ProtocolError) as caught:
            read(encode_frame(NESTED))
        assert caught.value.reason is Reason.BAD_MESSAGE


def test_a_token_that_is_nested_without_end_is_one_that_was_altered():
    text = TOKEN_PREFIX + base64.urlsafe_b64encode(b"\x81\xa1x" + b"\x91" * 3000 + b"\xc0").decode()
    assert len(text) < TOKEN_MAX_CHARS
    with pytest.raises(InvalidInputError, match="altered"):
        decode_token(text)


REQUEST = EnrolRequest(node="n1", agent_version="0.1.0", proof=b"p")
REPLY = EnrolReply(ok=True, host_keys=["ssh-ed25519 AAAA"], epoch=1)
_REQUEST = (
    "00000030002e84a46e6f6465a26e31ad6167656e745f76657273696f6ea5302e312e30a6736563726574a0a570726f6f66c40170"
)
_REPLY = "0000003b003985a26f6bc3a6726561736f6ea0a76d657373616765a0a9686f73745f6b65797391b07373682d656432353531392041414141a565706f636801"


def test_questions_and_answers_of_the_release_before_are_read_as_they_were_meant():
    assert EnrolDecoder().request(bytes.fromhex(_REQUEST)) == REQUEST
    assert EnrolDecoder().reply(bytes.fromhex(_REPLY)) == REPLY


def test_what_was_added_stands_behind_what_there_was_byte_for_byte():
    binds, pinning = "a562696e6473c3", "a770696e6e696e67a174"
    asked = only_frame(EnrolRequest(node="n1", agent_version="0.1.0", proof=b"p", binds=True))
    shown = only_frame(EnrolReply(ok=True, host_keys=["ssh-ed25519 AAAA"], epoch=1, pinning="t"))
    # the two lengths and the number of members rise
    assert asked.hex() == "0000003700358" + "5" + _REQUEST[14:] + binds
    assert shown.hex() == "0000004500438" + "6" + _REPLY[14:] + pinning


def test_a_rotation_is_vouched_for_byte_for_byte():
    assert rotation_statement("n1", "k") == b"certcast node key rotation 1\0n1\0k"
    assert rotation_statement("n1", "k", "t") == b"certcast node key rotation 2\0n1\0k\0t"
