"""Frames: `u32 length | u16 header length | header | blob`, lengths big-endian, `length` counting what follows it.

Decides where one frame ends and the next begins, and how large one may be. Leaves the header's meaning to
`common.wire.messages`. Invariant: a decoder never holds more than its ceiling plus one chunk.
"""

import struct
from typing import Final

from common.bundle.manifest import ENTRY_MAX_BYTES
from common.errors import ProtocolError, Reason

HEADER_MAX_BYTES: Final = 63 * 1024
"""The largest header is an outcome with diagnostics of a node with 64 endpoints; its length is two bytes."""

FRAME_MAX_BYTES: Final = 2 + HEADER_MAX_BYTES + ENTRY_MAX_BYTES
"""The largest frame is a payload."""

GREETING_MAX_BYTES: Final = 2 + HEADER_MAX_BYTES
"""Neither side may send a blob before the greeting is done."""

_LENGTH = struct.Struct(">I")
_HEADER_LENGTH = struct.Struct(">H")


def encode_frame(header: bytes, blob: bytes = b"") -> bytes:
    """Return one frame, to be written in one write."""
    if len(header) > HEADER_MAX_BYTES or len(blob) > ENTRY_MAX_BYTES:
        raise ProtocolError("a frame would be larger than its ceiling", reason=Reason.TOO_BIG)
    length = _HEADER_LENGTH.size + len(header) + len(blob)
    return b"".join((_LENGTH.pack(length), _HEADER_LENGTH.pack(len(header)), header, blob))


class FrameDecoder:
    """Turns a stream of chunks into frames. `ceiling_bytes` may be raised once the peer has introduced itself."""

    __slots__ = ("_buffer", "ceiling_bytes")

    def __init__(self, ceiling_bytes: int = GREETING_MAX_BYTES) -> None:
        self.ceiling_bytes = ceiling_bytes
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """How much of an unfinished frame is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take a chunk; return the frames that are now complete, as (header, blob).

        Raises ProtocolError TOO_BIG for a length over the ceiling, BAD_FRAME for lengths that contradict each other.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self.ceiling_bytes:
            raise ProtocolError(
                f"a frame of {length} bytes is over the ceiling of {self.ceiling_bytes}",
                reason=Reason.TOO_BIG,
            )
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        if length < _HEADER_LENGTH.size:
            raise ProtocolError("a frame has no header length", reason=Reason.BAD_FRAME)
        (header_length,) = _HEADER_LENGTH.unpack_from(body)
        start = _HEADER_LENGTH.size
        if header_length > HEADER_MAX_BYTES or start + header_length > length:
            raise ProtocolError(
                "a frame's header is longer than the frame or its ceiling", reason=Reason.BAD_FRAME
            )
        return body[start : start + header_length], body[start + header_length :]
