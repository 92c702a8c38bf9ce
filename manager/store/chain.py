"""Keyed audit chain: the HMAC of each entry over the one before, and signed heads of the log.

Decides what is sealed and how a head is written as text; knows no database. Invariant: entries, the stored
head and heads that are handed out use three keys derived from one chain key, so none can be presented as
another.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import InvalidInputError

GENESIS: Final = "0" * 64
"""The value that the first entry follows."""

KEY_BYTES: Final = 32

_LABELS: Final = (b"certcast audit entry 1", b"certcast audit stored head 1", b"certcast audit signed head 1")
_SIGNED: Final = re.compile(
    r"(?<![A-Za-z0-9])certcast-audit-1:(\d{1,15}):(\d{1,15}):(\d{1,12}):([0-9a-f]{64}):([0-9a-f]{64})(?![A-Za-z0-9])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The log's end: its number of entries, the last one's id, and the last one's HMAC."""

    count: int
    last_id: int
    chain: str


EMPTY: Final = Head(count=0, last_id=0, chain=GENESIS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """The head as stored.

    `broken` says that an entry was written although the log's end did not fit its head.
    """

    head: Head
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A head at a moment (unix seconds), in the form that is handed out to be kept elsewhere."""

    head: Head
    at_s: int
    mac: str

    @property
    def text(self) -> str:
        """The head as one line of text."""
        head = self.head
        return f"certcast-audit-1:{head.count}:{head.last_id}:{self.at_s}:{head.chain}:{self.mac}"


class Seals:
    """HMACs under keys derived from the chain key (HKDF, RFC 5869)."""

    __slots__ = ("_entry", "_signed", "_stored")

    def __init__(self, chain_key: bytes) -> None:
        self._entry, self._stored, self._signed = (
            HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label).derive(chain_key)
            for label in _LABELS
        )

    def __repr__(self) -> str:
        return "<seals>"

    def entry(self, last: str, entry_id: int, values: Mapping[str, Any]) -> str:
        """Return the HMAC of an entry that follows the one whose HMAC is `last`."""
        return _mac(self._entry, [last, entry_id, dict(values)])

    def entry_after_break(self, last: str, entry_id: int, values: Mapping[str, Any]) -> str:
        """Return the HMAC of an entry that is written although the end of the log did not fit its head.

        It never passes for an ordinary one, so later entries cannot hide the break.
        """
        return _mac(self._entry, ["break", last, entry_id, dict(values)])

    def seal_head(self, stored: StoredHead) -> bytes:
        """Return the stored form of a head."""
        facts = [stored.head.count, stored.head.last_id, stored.head.chain, stored.broken]
        return json.dumps([*facts, _mac(self._stored, facts)]).encode()

    def open_head(self, sealed: bytes | None) -> StoredHead | None:
        """Return a stored head; None if it is missing or was not sealed with this key."""
        try:
            *facts, mac = json.loads(sealed or b"")
            count, last_id, chain, broken = facts
        except (ValueError, TypeError):
            return None
        if not _is(str(mac), _mac(self._stored, facts)):
            return None
        return StoredHead(head=Head(count=count, last_id=last_id, chain=chain), broken=broken)

    def sign(self, head: Head, *, at_s: int) -> SignedHead:
        """Return a signed head, to be kept elsewhere."""
        return SignedHead(head=head, at_s=at_s, mac=self._signature(head, at_s))

    def has_signed(self, signed: SignedHead) -> bool:
        """Whether a head was signed with this chain's key."""
        return _is(signed.mac, self._signature(signed.head, signed.at_s))

    def _signature(self, head: Head, at_s: int) -> str:
        return _mac(self._signed, [head.count, head.last_id, at_s, head.chain])


def new_chain_key() -> bytes:
    """Make a chain key."""
    return secrets.token_bytes(KEY_BYTES)


def parse_signed_head(text: str) -> SignedHead:
    """Read a signed head from text: the head itself, or a line of the journal or file with it.

    Raises InvalidInputError.
    """
    found = _SIGNED.findall(text)
    if len(found) != 1:
        raise InvalidInputError(
            "head",
            "a kept head is one text of the form 'certcast-audit-1:COUNT:ID:TIME:HMAC:HMAC', as the journal has it; "
            f"there are {len(found)} in what was given",
        )
    count, last_id, at_s, chain, mac = found[0]
    return SignedHead(head=Head(count=int(count), last_id=int(last_id), chain=chain), at_s=int(at_s), mac=mac)


def hash_unkeyed(last: str, entry_id: int, values: Mapping[str, Any]) -> str:
    """Return the hash that chained entries before there was a key (schema 0009 and earlier)."""
    return hashlib.sha256(json.dumps([last, entry_id, dict(values)], sort_keys=True).encode()).hexdigest()


def _mac(key: bytes, facts: list[Any]) -> str:
    return hmac.digest(key, json.dumps(facts, sort_keys=True).encode(), "sha256").hex()


def _is(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
