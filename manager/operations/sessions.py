"""Signing in to the pages, staying signed in, and signing out.

Invariant: the store has only a hash of what a browser keeps; a session that nobody uses ends, and every session ends.
"""

import secrets
from typing import Final

import structlog

from manager.domain.model import UserRecord
from manager.operations.context import Context
from manager.operations.users import hash_token

log = structlog.get_logger(__name__)

IDLE_S: Final = 30 * 60.0
"""How long a session lasts without a request (NIST SP 800-63B 4.2.3)."""

LIFE_S: Final = 12 * 3600.0
"""How long a session lasts at most (the same)."""

SEEN_S: Final = 60.0
"""How coarsely use is noted: not every request is worth a write."""

PER_USER_MAX: Final = 20
"""Sessions that one user has; with one more the one that was longest unused ends."""


class SessionOperations:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def start(self, user: UserRecord, *, address: str) -> str:
        """Begin a session for a user who has proved who it is; return its token, which is never the one from before."""
        token = secrets.token_urlsafe(32)
        now_s = self._context.clock()
        async with self._context.store.together():
            await self._context.store.sessions.add(hash_token(token), user.id, now_s=now_s, keep=PER_USER_MAX)
            await self._context.note(user.name, "session.started", f"user {user.name}", {"address": address})
        log.info("session.started", user=user.name, address=address)
        return token

    async def find(self, token: str, *, using: bool = True) -> UserRecord | None:
        """Return who is signed in with this token, None if nobody; `using` keeps the session from ending unused."""
        hashed, now_s = hash_token(token), self._context.clock()
        found = await self._context.store.sessions.find(
            hashed, seen_after_s=now_s - IDLE_S, created_after_s=now_s - LIFE_S
        )
        if found is None:
            return None
        user, seen_s = found
        if using and now_s - seen_s >= SEEN_S:
            await self._context.store.sessions.seen(hashed, now_s=now_s)
        return user

    async def end(self, token: str) -> None:
        """Sign out."""
        await self._context.store.sessions.remove(hash_token(token))

    async def collect(self) -> None:
        """Forget sessions that are over. Raises StorageError."""
        now_s = self._context.clock()
        await self._context.store.sessions.collect(
            seen_before_s=now_s - IDLE_S, created_before_s=now_s - LIFE_S
        )
