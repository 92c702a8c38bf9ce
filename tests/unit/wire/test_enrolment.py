import base64

import pytest

from common.errors import InvalidInputError, ProtocolError, Reason
from common.wire.enrolment import ENROL_MAX_BYTES, TOKEN_MAX_CHARS, TOKEN_PREFIX, EnrolDecoder, decode_token
from common.wire.frames import encode_frame

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
