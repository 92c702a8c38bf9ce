import struct

import pytest

from common.bundle.manifest import ENTRY_MAX_BYTES
from common.errors import ProtocolError, Reason
from common.wire.frames import (
    FRAME_MAX_BYTES,
    GREETING_MAX_BYTES,
    HEADER_MAX_BYTES,
    FrameDecoder,
    encode_frame,
)


def test_a_frame_is_length_header_length_header_and_blob():
    assert encode_frame(b"head", b"blob") == b"\x00\x00\x00\x0a\x00\x04headblob"


def test_frames_come_out_whole_however_the_stream_is_cut():
    stream = encode_frame(b"one", b"1" * 50) + encode_frame(b"two") + encode_frame(b"", b"")
    decoder, frames = FrameDecoder(FRAME_MAX_BYTES), []
    for place in range(len(stream)):
        frames += decoder.feed(stream[place : place + 1])
    assert frames == [(b"one", b"1" * 50), (b"two", b""), (b"", b"")]
    assert decoder.buffered_bytes == 0


def test_a_length_over_the_ceiling_is_refused_before_its_bytes_arrive():
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(struct.pack(">I", GREETING_MAX_BYTES + 1))
    assert caught.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize(
    "frame", [b"\x00\x00\x00\x01\x00", b"\x00\x00\x00\x00", b"\x00\x00\x00\x03\x00\x02a"]
)
def test_lengths_that_contradict_each_other_are_refused(frame: bytes):
    with pytest.raises(ProtocolError) as caught:
        FrameDecoder().feed(frame)
    assert caught.value.reason is Reason.BAD_FRAME


@pytest.mark.parametrize(
    ("header", "blob"), [(b"h" * (HEADER_MAX_BYTES + 1), b""), (b"", b"b" * (ENTRY_MAX_BYTES + 1))]
)
def test_nobody_can_send_a_frame_over_the_ceiling(header: bytes, blob: bytes):
    with pytest.raises(ProtocolError):
        encode_frame(header, blob)
