"""Creation of the first administrator, with the set-up link that a manager prints where it was started.

Invariant: a link works once, at any manager, while there is no user, until it expires or the clock is set
back (`SessionUseCases.distrust_clock`). All managers of a store print the same link. The store has its hash
and a nonce; the token is derived from the nonce and a key that is not in the database. So every manager can
print the link, also after one was killed before printing it.
"""

import base64
import hmac
import secrets
from typing import Final

import msgspec

from common.codes import Role
from common.errors import AccessError, Reason
from manager.domain.model import UserRecord
from manager.usecases.context import Context
from manager.usecases.users import SETUP_LINK, UserUseCases, hash_token

LINK_S: Final = 24 * 3600.0
"""Lifetime of a set-up link since a manager was last started.

A start after that makes a new link.
"""

PURPOSE: Final = "set-up link"

ACTOR: Final = "set-up link"


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    """Stored set-up link; its token is derived from `nonce`.

    "" for a link of an earlier release, whose token is lost.
    """

    token_hash: str
    expires_s: float
    nonce: str = ""


class SetupUseCases:
    def __init__(self, context: Context, users: UserUseCases) -> None:
        self._context = context
        self._users = users
        self._is_done = False

    async def is_needed(self) -> bool:
        """Whether there is no user yet.

        Once there is one there always is: the last administrator cannot be removed.
        """
        if not self._is_done:
            self._is_done = bool(await self._users.list())
        return not self._is_done

    async def open(self) -> str | None:
        """Return the link's token, valid for LINK_S from now on; None if there is a user.

        Makes a link if there is no valid one.
        """
        if not await self.is_needed():
            return None
        store, now_s = self._context.store, self._context.clock()
        async with store.transaction():
            # checked again: several managers may start at once, and a user may have been created meanwhile
            if await self._users.list():
                return None
            kept = await store.meta.get(SETUP_LINK)
            link = None if kept is None else msgspec.json.decode(kept, type=_Link)
            if link is None or link.expires_s <= now_s or hash_token(self._token(link)) != link.token_hash:
                fresh = _Link(token_hash="", expires_s=0.0, nonce=secrets.token_urlsafe(32))
                link = msgspec.structs.replace(fresh, token_hash=hash_token(self._token(fresh)))
            link = msgspec.structs.replace(link, expires_s=now_s + LINK_S)
            await store.meta.set(SETUP_LINK, msgspec.json.encode(link))
        return self._token(link)

    def _token(self, link: _Link) -> str:
        made = hmac.digest(self._context.store.derived_key(PURPOSE), link.nonce.encode(), "sha256")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    async def check(self, token: str) -> None:
        """Raise AccessError FORBIDDEN unless this link's token may create the first user now."""
        kept = await self._context.store.meta.get(SETUP_LINK)
        if kept is not None and await self.is_needed():
            link = msgspec.json.decode(kept, type=_Link)
            known = hmac.compare_digest(link.token_hash, hash_token(token))
            if known and link.expires_s > self._context.clock():
                return
        raise AccessError(
            "this set-up link is not valid: it was used, or has expired, or the clock was set back. If there is no user yet, a manager prints "
            "another when it is started",
            reason=Reason.FORBIDDEN,
        )

    async def create(self, token: str, *, name: str, password: str) -> UserRecord:
        """Create the first administrator.

        Raises AccessError, InvalidInputError, ConflictError (another one was created first).
        """
        await self.check(token)
        return await self._users.add(
            name, role=Role.ADMINISTRATOR, password=password, actor=ACTOR, only_first=True
        )
