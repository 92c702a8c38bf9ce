"""Joining of managers: the token carried to a new machine, and the exchange that delivers the store's key.

Decides shapes and limits. The token's fingerprint authenticates the answering manager before the secret is
sent; the login proves that a repeated request comes from the same machine. Pure except for drawing the
secret. Invariant: no repr shows a secret.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from common.wire.contact import ADDRESSES_MAX, HOST_KEYS_MAX, Address, KeyLine
from common.wire.enrolment import ENROL_MAX_BYTES
from common.wire.fields import Count, Name, ReasonText, Text
from common.wire.frames import FrameDecoder
from common.wire.joining import read_only_frame, read_token, token_text
from manager.store.address import URL_CHARACTERS_MAX
from manager.store.sealing import KEK_BYTES, KEKS_MAX

TOKEN_PREFIX: Final = "certcast-manager1."  # noqa: S105 - what a token begins with, not a token
NAMES_MAX: Final = 8
"""The most names, and addresses, that a joining manager sends; with 253 characters each they fit the request.
More can be added later.
"""

ANSWER_MAX_BYTES: Final = 5 * URL_CHARACTERS_MAX
"""The largest answer: a database address with four bytes a character; keys and the rest take less than 4 KiB."""


class ManagerToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to join other managers.

    `addresses` are their host:port; the fingerprint is the `SHA256:...` of their host key.

    `tells_database`: whether the answer includes the address of the database.
    """

    addresses: Annotated[list[Address], Meta(min_length=1, max_length=ADDRESSES_MAX)]
    fingerprint: Annotated[str, Meta(max_length=64, pattern="^SHA256:")]
    secret: Annotated[str, Meta(max_length=64)]
    expires_s: float
    tells_database: bool

    def __repr__(self) -> str:
        return "<manager token>"


class ManagerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request.

    `holds` are the ids of the key-encryption keys the new manager already has, `names` and `addresses` its
    node's.
    """

    secret: Annotated[str, Meta(max_length=64)]
    version: Name
    names: Annotated[list[Annotated[str, Meta(max_length=253)]], Meta(max_length=NAMES_MAX)]
    addresses: Annotated[list[Annotated[str, Meta(max_length=45)]], Meta(max_length=NAMES_MAX)]
    holds: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(max_length=KEKS_MAX)] = []

    def __repr__(self) -> str:
        return "<request of a manager>"


class ManagerReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a joining manager, or the reason of a refusal.

    It names the new manager's node, the store's key unless the manager has that, and the database's address
    if permitted.
    """

    ok: bool
    reason: ReasonText = ""
    message: Text = ""
    node: Name = ""
    kek: Annotated[bytes, Meta(max_length=KEKS_MAX * KEK_BYTES)] = b""
    database: Annotated[str, Meta(max_length=URL_CHARACTERS_MAX)] = ""
    host_keys: Annotated[list[KeyLine], Meta(max_length=HOST_KEYS_MAX)] = []
    epoch: Count = 0

    def __repr__(self) -> str:
        return f"<answer to a manager: {'ok' if self.ok else self.reason}>"


_TOKEN = msgspec.msgpack.Decoder(ManagerToken)
_REQUEST = msgspec.msgpack.Decoder(ManagerRequest)
_REPLY = msgspec.msgpack.Decoder(ManagerReply)


def encode_token(token: ManagerToken) -> str:
    """Return the token as one word of text."""
    return token_text(TOKEN_PREFIX, token)


def decode_token(text: str) -> ManagerToken:
    """Parse a token. Raises InvalidInputError with field `token`, which quotes nothing of it."""
    return read_token(
        text,
        _TOKEN,
        prefix=TOKEN_PREFIX,
        kind="manager's token",
        origin="it is made on a machine where a manager runs",
    )


class RequestDecoder:
    """Decodes the one request; an unknown peer may send no more than an enrolling node."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = FrameDecoder(ENROL_MAX_BYTES)

    def take(self, data: bytes) -> ManagerRequest | None:
        """Take bytes; return the request once it is complete. Raises ProtocolError."""
        return read_only_frame(self._frames, _REQUEST, data)


class ReplyDecoder:
    """Decodes the one answer."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = FrameDecoder(ANSWER_MAX_BYTES)

    def take(self, data: bytes) -> ManagerReply | None:
        """Take bytes; return the answer once it is complete. Raises ProtocolError."""
        return read_only_frame(self._frames, _REPLY, data)
