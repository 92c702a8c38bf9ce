"""Tokens with which further managers join, stored as hashes, and the count of managers that ever joined.

Invariant: a token is used once. The key that used it, and the node that it became, are remembered, so that
the same key may ask again.
"""

import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.managers import Reuse
from manager.store.engine import Database
from manager.store.meta import Meta

SHOWN_KEPT_S: Final = 7 * 86400.0
"""How long a second use of a token by another machine is remembered."""

LIVE_MAX: Final = 5
"""Unused tokens that may exist at once: each is worth the store's key."""

_GIVEN: Final = "managers-given"
_PREFIX: Final = "manager-token:"
_NAMED_BY: Final = 32
"""Hex digits of the hash in a stored name; the whole hash is compared."""


class ManagerTokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One token.

    `key` is the public key line that used it, `node` the management node that it became, else "".

    `shown_s`, `shown_by` and `shown_from` tell when a machine with another key first showed the token after
    its use, that key's fingerprint and the machine's address; 0.0 and "" if none did.
    """

    secret_hash: str
    expires_s: float
    tells_database: bool
    key: str = ""
    node: NodeName = NodeName("")
    shown_s: float = 0.0
    shown_by: str = ""
    shown_from: str = ""


_RECORD: Final = msgspec.json.Decoder(ManagerTokenRecord)


class ManagerTokens:
    def __init__(self, database: Database, values: Meta) -> None:
        self._database = database
        self._values = values

    async def add(self, record: ManagerTokenRecord, *, now_s: float) -> None:
        """Store a token, and forget expired ones. Raises ConflictError if too many are unused."""
        async with self._database.write():
            live = []
            for known in await self._all():
                shown_until_s = known.shown_s + SHOWN_KEPT_S if known.shown_s else 0.0
                if max(known.expires_s, shown_until_s) <= now_s:
                    await self._values.remove(_name(known.secret_hash))
                elif not known.key and known.expires_s > now_s:
                    live.append(known)
            if len(live) >= LIVE_MAX:
                raise ConflictError(
                    f"there are {len(live)} unused tokens for managers; use one, or wait until they expire"
                )
            await self._keep(record)

    async def remove_every_unused(self) -> None:
        """Remove all tokens that no manager has joined with."""
        async with self._database.write():
            for known in await self._all():
                if not known.key:
                    await self._values.remove(_name(known.secret_hash))

    async def find(self, secret_hash: str) -> ManagerTokenRecord | None:
        """Return a token by its hash."""
        kept = await self._values.get(_name(secret_hash))
        record = None if kept is None else _RECORD.decode(kept)
        return record if record is not None and hmac.compare_digest(record.secret_hash, secret_hash) else None

    async def use(self, record: ManagerTokenRecord, *, key: str, node: NodeName) -> None:
        """Record the key that used a token, and the node that it became."""
        await self._keep(msgspec.structs.replace(record, key=key, node=node))

    async def shown_again(self, secret_hash: str, *, by: str, address: str, now_s: float) -> None:
        """Record that another machine showed a used token.

        Only the first counts, so that a flood writes nothing.
        """
        async with self._database.write():
            known = await self.find(secret_hash)
            if known is not None and known.node and not known.shown_s:
                await self._keep(
                    msgspec.structs.replace(known, shown_s=now_s, shown_by=by, shown_from=address)
                )

    async def reuses(self, *, now_s: float) -> Sequence[Reuse]:
        """Return the used tokens that other machines have shown recently."""
        return [
            Reuse(node=each.node, at_s=each.shown_s, address=each.shown_from, fingerprint=each.shown_by)
            for each in await self._all()
            if each.shown_s and each.shown_s + SHOWN_KEPT_S > now_s
        ]

    async def forget(self, node: NodeName) -> None:
        """Remove the token with which a manager joined whose node is being removed."""
        async with self._database.write():
            for known in await self._all():
                if known.node == node:
                    await self._values.remove(_name(known.secret_hash))

    async def number_given(self) -> int:
        """Return the number of the manager that joined last; the first is 1."""
        return int(await self._values.get(_GIVEN) or b"1")

    async def give_number(self, number: int) -> None:
        """Record that a manager has this number, which is never given again."""
        await self._values.set(_GIVEN, str(number).encode())

    async def _all(self) -> Sequence[ManagerTokenRecord]:
        return [_RECORD.decode(value) for value in (await self._values.with_prefix(_PREFIX)).values()]

    async def _keep(self, record: ManagerTokenRecord) -> None:
        await self._values.set(_name(record.secret_hash), msgspec.json.encode(record))


def _name(secret_hash: str) -> str:
    return f"{_PREFIX}{secret_hash[:_NAMED_BY]}"
