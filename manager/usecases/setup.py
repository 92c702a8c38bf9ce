"""The first administrator: made by whoever has the link that the manager printed where it was started.

Invariant: a link works while there is no user, once, and only the latest that was made; the store has only its hash.
"""

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
"""How long a set-up link lasts; starting the manager again prints another."""

ACTOR: Final = "set-up link"


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    token_hash: str
    expires_s: float


class SetupUseCases:
    def __init__(self, context: Context, users: UserUseCases) -> None:
        self._context = context
        self._users = users
        self._is_done = False

    async def is_needed(self) -> bool:
        """Tell whether there is no user yet. Once there is one there always is: the last administrator cannot be removed."""
        if not self._is_done:
            self._is_done = bool(await self._users.list())
        return not self._is_done

    async def open(self) -> str | None:
        """Make a link's token in place of any earlier one; None where there is a user."""
        if not await self.is_needed():
            return None
        token = secrets.token_urlsafe(32)
        link = _Link(token_hash=hash_token(token), expires_s=self._context.clock() + LINK_S)
        await self._context.store.meta.set(SETUP_LINK, msgspec.json.encode(link))
        return token

    async def check(self, token: str) -> None:
        """Raise AccessError FORBIDDEN unless this link's token may make the first user now."""
        kept = await self._context.store.meta.get(SETUP_LINK)
        if kept is not None and await self.is_needed():
            link = msgspec.json.decode(kept, type=_Link)
            known = hmac.compare_digest(link.token_hash, hash_token(token))
            if known and link.expires_s > self._context.clock():
                return
        raise AccessError(
            "this set-up link is not valid: it was used, has expired, or a later start of the manager printed another",
            reason=Reason.FORBIDDEN,
        )

    async def create(self, token: str, *, name: str, password: str) -> UserRecord:
        """Create the first administrator. Raises AccessError, InvalidInputError, ConflictError (another was quicker)."""
        await self.check(token)
        return await self._users.add(
            name, role=Role.ADMINISTRATOR, password=password, actor=ACTOR, only_first=True
        )
