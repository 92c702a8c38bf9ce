"""Browser sessions: signing in, staying signed in and signing out.

Invariant: the store has only a hash of the browser's token. Unused sessions end, and every session ends
eventually, whatever happens to the clock.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

import structlog

from common.errors import NotFoundError
from common.source import source_of
from manager.domain.attempts import Attempt
from manager.domain.model import SessionRecord, UserRecord
from manager.domain.tallies import Tally
from manager.store.sessions import session_id
from manager.usecases.context import Context
from manager.usecases.last_use import SOURCE_MAX
from manager.usecases.lifetimes import Lifetimes
from manager.usecases.ports import Lead
from manager.usecases.ratelimit import BURST, NOTED_BURST, RateLimit
from manager.usecases.users import SETUP_LINK, hash_token

log = structlog.get_logger(__name__)

IDLE_S: Final = 30 * 60.0
"""Idle timeout of a session (NIST SP 800-63B 4.2.3)."""

LIFE_S: Final = 12 * 3600.0
"""Longest lifetime of a session (the same)."""

SEEN_S: Final = 60.0
"""Resolution of the last use: not every request is worth a write."""

PER_USER_MAX: Final = 20
"""Sessions of one user; another one ends the session that has been unused for longest."""

CLOCK: Final = "clock"
"""Store key of the latest clock reading since the clock was last set back."""

CLOCK_CHECK_S: Final = 60.0
"""Interval of checks for a clock that was set back.

A session ended by the clock can revive for at most this long.
"""

SET_BACK_S: Final = 300.0
"""Step back from which on times measured before are not trusted.

Smaller corrections are routine.
"""

CONFIRMED_S: Final = 600.0
"""Time after the password was entered in which a session may create credentials and export private keys."""


class SessionUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        tallies = context.store.tallies
        self._rate_limit = RateLimit(context.monotonic, tallies, Tally.SIGNED_IN, burst=BURST)
        self._noted = RateLimit(context.monotonic, tallies, Tally.SIGN_IN_NOTED, burst=NOTED_BURST)
        self._unused = Lifetimes(context.monotonic, lasting_s=IDLE_S)
        self._lives = Lifetimes(context.monotonic, lasting_s=LIFE_S)
        self._confirmed = Lifetimes(context.monotonic, lasting_s=CONFIRMED_S)

    def check_rate(self, user: UserRecord, *, address: str) -> None:
        """Raise ThrottledError if this user has recently begun too many sessions from this address."""
        self._rate_limit.check(user.name, source_of(address))

    async def start(self, user: UserRecord, *, address: str) -> str:
        """Begin a session for an authenticated user; return its new token.

        Raises ThrottledError if this user has recently begun too many sessions from this address.
        """
        self._rate_limit.take(user.name, source_of(address))
        token = secrets.token_urlsafe(32)
        now_s = self._context.clock()
        # signing in needs no existing right: the session that this one replaces may have ended with the old
        # password
        with self._context.store.on_condition(None):
            await self._keep(user, token, address=address, now_s=now_s)
        self._begin(hash_token(token), now_s)
        return token

    def _begin(self, hashed: str, began_s: float) -> None:
        for lifetimes in (self._unused, self._lives, self._confirmed):
            lifetimes.begin(hashed, began_s)

    async def _keep(self, user: UserRecord, token: str, *, address: str, now_s: float) -> None:
        async with self._context.store.transaction():
            await self._context.store.sessions.add(
                hash_token(token), user.id, source=address[:SOURCE_MAX], now_s=now_s, keep=PER_USER_MAX
            )
            if self._noted.admits(user.name):
                log.info("session.started", user=user.name, address=address)
                await self._context.audit(
                    user.name, "session.started", f"user {user.name}", {"address": address}
                )
            else:
                self._context.attempted(Attempt.SIGN_IN_REPEATED, name=user.name, source=source_of(address))

    async def confirmed(self, token: str) -> None:
        """Restart a session's lifetime after its user has entered the password again.

        All managers of the store learn of it.
        """
        hashed, now_s = hash_token(token), self._context.clock()
        await self._context.store.sessions.begin_again(hashed, now_s=now_s)
        self._begin(hashed, now_s)

    async def is_confirmed(self, token: str) -> bool:
        """Whether the password was recently entered for this session, at any manager."""
        hashed = hash_token(token)
        found = await self._context.store.sessions.find(hashed)
        if found is None:
            return False
        _, began_s, _ = found
        is_late = began_s <= self._context.clock() - CONFIRMED_S
        return not is_late and not self._confirmed.is_over(hashed, began_s)

    async def list(self, name: str) -> Sequence[SessionRecord]:
        """Return a user's sessions."""
        now_s = self._context.clock()
        return await self._context.store.sessions.list(
            name, seen_after_s=now_s - IDLE_S, created_after_s=now_s - LIFE_S
        )

    def id_of(self, token: str) -> str:
        """Return the id of the session with this token."""
        return session_id(hash_token(token))

    async def end_of(
        self, name: str, *, only: str | None = None, keep: str | None = None, actor: str
    ) -> None:
        """End a user's sessions: the one with the id `only`, or all except the one with the id `keep`.

        Raises NotFoundError.
        """
        async with self._context.store.transaction():
            count = await self._context.store.sessions.remove_of(name, only=only, keep=keep)
            if only is not None and not count:
                raise NotFoundError(f"user '{name}' is no longer signed in there")
            if count:
                await self._context.audit(actor, "session.ended", f"user {name}", {"count": count})

    async def find(self, token: str, *, using: bool = True) -> UserRecord | None:
        """Return the user who is signed in with this token, None for an invalid token.

        `using` counts this as a use of the session.
        """
        hashed, now_s = hash_token(token), self._context.clock()
        found = await self._context.store.sessions.find(hashed)
        if found is None:
            return None
        user, began_s, seen_s = found
        if (
            seen_s <= now_s - IDLE_S
            or began_s <= now_s - LIFE_S
            # not idle if another manager has seen it since
            or self._unused.is_over(hashed, seen_s)
            or self._lives.is_over(hashed, began_s)
        ):
            # deleted for good: setting the clock back later does not revive it
            await self._context.store.sessions.remove(hashed)
            return None
        if using:
            if abs(now_s - seen_s) >= SEEN_S:
                await self._context.store.sessions.seen(hashed, now_s=now_s)
                seen_s = now_s
            self._unused.begin(hashed, seen_s)
        return user

    async def end(self, token: str) -> None:
        await self._context.store.sessions.remove(hash_token(token))

    async def run_clock(self, lead: Lead) -> None:
        """Check every minute whether the clock was set back, until cancelled. One manager does it for all."""
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            if lead.is_ours:
                with lead.enforced():
                    await self.distrust_clock()

    async def distrust_clock(self) -> None:
        """End everything that lasts for hours if the clock was set back, since its age is unknown.

        Raises StorageError.

        This ends every session and access token, unused join tokens and the set-up link. Many small steps
        back add up to a long one. API tokens last for months, so they end only if the clock of an earlier
        check agrees: a clock that is ahead during a single check ends none. Runs at the start and every
        minute, because only the store remembers the clock's reading before a restart. A check writes one row
        if nothing ends. All managers share this clock (`Store.clock`), so a manager that starts next to
        others ends nothing by its own clock.
        """
        store, now_s = self._context.store, self._context.clock()
        async with store.transaction():
            kept = await store.meta.get(CLOCK)
            latest_s = now_s if kept is None else float(kept)
            if kept is not None:
                await store.users.forget_expired_tokens(before_s=min(now_s, latest_s))
            if now_s < latest_s - SET_BACK_S:
                await self._end_what_lasts_for_hours()
                log.warning("clock.set_back", duration_ms=round((latest_s - now_s) * 1000))
                latest_s = now_s
            await store.meta.set(CLOCK, str(max(latest_s, now_s)).encode())

    async def _end_what_lasts_for_hours(self) -> None:
        store = self._context.store
        await store.sessions.remove_every()
        await store.clients.remove_every_token()
        await store.nodes.remove_every_join_token()
        await store.manager_tokens.remove_every_unused()
        await store.meta.remove(SETUP_LINK)

    async def collect(self) -> None:
        """Delete expired sessions. Raises StorageError."""
        now_s = self._context.clock()
        await self._context.store.sessions.collect(
            seen_before_s=now_s - IDLE_S, created_before_s=now_s - LIFE_S
        )
