"""Joining of nodes and managers: a token that an operator carries as one word, and one frame each way.

Decides how both are read. Leaves their content to `common.wire.enrolment` and `manager.channel.clustering`.
Invariant: no error quotes its input, which may be a secret.
"""

import base64
from typing import Final, TypeVar

import msgspec

from common.errors import InvalidInputError, ProtocolError, Reason
from common.schema import UNDECODABLE
from common.wire.frames import FrameDecoder, encode_frame

_T = TypeVar("_T")

TOKEN_MAX_CHARS: Final = 4096

_ENCODER = msgspec.msgpack.Encoder()


def token_text(prefix: str, token: msgspec.Struct) -> str:
    """Return a token's text: one word, safe in shells and URLs."""
    return prefix + base64.urlsafe_b64encode(_ENCODER.encode(token)).decode().rstrip("=")


def read_token(text: str, decoder: msgspec.msgpack.Decoder[_T], *, prefix: str, kind: str, origin: str) -> _T:
    """Read a token's text. Raises InvalidInputError with field `token`.

    `kind` names the kind of token, and `origin` says where to find one; both are for the error's message.
    """
    text = text.strip()
    if not text.startswith(prefix) or len(text) > TOKEN_MAX_CHARS:
        raise InvalidInputError("token", f"a {kind} begins with '{prefix}'; {origin}")
    body = text.removeprefix(prefix)
    try:
        return decoder.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, *UNDECODABLE):
        raise InvalidInputError("token", f"the {kind} is cut short or altered; copy it again") from None


def only_frame(message: msgspec.Struct) -> bytes:
    """Return a message as the one frame that its side sends."""
    return encode_frame(_ENCODER.encode(message))


def read_only_frame(frames: FrameDecoder, decoder: msgspec.msgpack.Decoder[_T], data: bytes) -> _T | None:
    """Take bytes; return the one message once it is whole. Raises ProtocolError."""
    found = frames.feed(data)
    if len(found) > 1 or (found and found[0][1]):
        raise ProtocolError("more than one message where one is expected")
    if not found:
        return None
    try:
        return decoder.decode(found[0][0])
    except UNDECODABLE:
        raise ProtocolError("the join message cannot be read", reason=Reason.BAD_MESSAGE) from None
