"""Joining: the token an operator carries to a node, and the one question and answer that pin both keys.

Decides shapes and limits. The channel proves that the node holds its key. The token's fingerprint
authenticates the manager before the secret is sent.
"""

import hashlib
import secrets
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from common.ids import node_name
from common.wire.contact import ADDRESSES_MAX, HOST_KEYS_MAX, Address, KeyLine
from common.wire.fields import Count, Name, ReasonText, Text
from common.wire.frames import FrameDecoder
from common.wire.joining import read_only_frame, read_token, token_text

TOKEN_PREFIX: Final = "certcast1."  # noqa: S105 - what a token begins with, not a token
SECRET_BYTES: Final = 32
ENROL_MAX_BYTES: Final = 4096
"""The largest frame of the join conversation; an unknown peer may send no more."""


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a node needs to join. `addresses` are host:port; the fingerprint is `SHA256:...` of the manager's host key."""

    node: Name
    addresses: Annotated[list[Address], Meta(min_length=1, max_length=ADDRESSES_MAX)]
    fingerprint: Annotated[str, Meta(max_length=64, pattern="^SHA256:")]
    secret: Annotated[str, Meta(max_length=64)]
    expires_s: float

    def __repr__(self) -> str:
        return f"<join token for {self.node}>"


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The node's question. Its key is proven by the channel's login.

    A token's secret authorises that key, or `proof` does: the pinned key's signature over
    `rotation_statement`, with which a node replaces its own key. A node that sets `binds` vouches for other
    keys by a statement that names the pinning, whatever it requests here. If it connects with the pinned key,
    the reply tells it the pinning.
    """

    node: Name
    agent_version: Name
    secret: Annotated[str, Meta(max_length=64)] = ""
    proof: Annotated[bytes, Meta(max_length=256)] = b""
    binds: bool = False

    def __repr__(self) -> str:
        return f"<enrol request of {self.node}>"


class EnrolReply(msgspec.Struct, frozen=True, kw_only=True):
    """The manager's answer: the host keys to pin, or a refusal. `pinning` is "" from older managers."""

    ok: bool
    reason: ReasonText = ""
    message: Text = ""
    host_keys: Annotated[list[KeyLine], Meta(max_length=HOST_KEYS_MAX)] = []
    epoch: Count = 0
    pinning: Annotated[str, Meta(max_length=64)] = ""


_TOKEN = msgspec.msgpack.Decoder(JoinToken)
_REQUEST = msgspec.msgpack.Decoder(EnrolRequest)
_REPLY = msgspec.msgpack.Decoder(EnrolReply)


def new_secret() -> str:
    """Return a fresh one-time secret of 256 bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Return a secret's hash for the store. Plain SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def rotation_statement(node: str, public_key_line: str, pinning: str = "") -> bytes:
    """Return what a node's pinned key signs to hand over to another key.

    A statement that names the pinning becomes worthless once the key is pinned again. A statement without one
    ("", from agents of an earlier release) uses the first form, which is valid whenever that key is the node's.
    """
    if not pinning:
        return b"\0".join((b"certcast node key rotation 1", node.encode(), public_key_line.encode()))
    parts = (b"certcast node key rotation 2", node.encode(), public_key_line.encode(), pinning.encode())
    return b"\0".join(parts)


def new_pinning() -> str:
    """Return a unique identifier for one pinning of a key."""
    return secrets.token_urlsafe(SECRET_BYTES)


def encode_token(token: JoinToken) -> str:
    """Return the token's text: one word, safe in shells and URLs."""
    return token_text(TOKEN_PREFIX, token)


def decode_token(text: str) -> JoinToken:
    """Read a token's text. Raises InvalidInputError with field `token`."""
    token = read_token(
        text, _TOKEN, prefix=TOKEN_PREFIX, kind="join token", origin="it is shown when a node is added"
    )
    node_name(token.node)
    return token


class EnrolDecoder:
    """Reads the one frame that a side of the join conversation sends."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = FrameDecoder(ENROL_MAX_BYTES)

    def request(self, data: bytes) -> EnrolRequest | None:
        """Take bytes; return the question once it is whole. Raises ProtocolError."""
        return read_only_frame(self._frames, _REQUEST, data)

    def reply(self, data: bytes) -> EnrolReply | None:
        """Take bytes; return the answer once it is whole. Raises ProtocolError."""
        return read_only_frame(self._frames, _REPLY, data)
