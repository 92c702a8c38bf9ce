"""Users and their API tokens: who may sign in, and who a token belongs to.

Invariant: a token has 256 random bits and is stored as its SHA-256; its holder is never throttled because of
others. `manager.usecases.passwords` handles passwords.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from common.codes import Role, Scope
from common.errors import AccessError, ChangedMeanwhileError, ConflictError, InvalidInputError, Reason
from common.source import source_of
from manager.domain.attempts import Attempt
from manager.domain.audit import CONSOLE, RENEWAL
from manager.domain.callers import Caller, Credential, fits, role_of
from manager.domain.likeness import check_name_free, likeness
from manager.domain.model import TokenRecord, UserRecord
from manager.domain.tallies import Tally
from manager.usecases.context import Context
from manager.usecases.last_use import SOURCE_MAX, LastUse
from manager.usecases.passwords import Passwords, check_password
from manager.usecases.ratelimit import BURST, RateLimit

log = structlog.get_logger(__name__)

TOKEN_PREFIX: Final = "cct_"  # noqa: S105 - what a token begins with, not a token
TOKEN_DAYS_MAX: Final = 365
"""Longest lifetime of an API token; unused tokens expire on their own."""

TOKENS_PER_USER_MAX: Final = 20
"""Valid API tokens of one user: one for each program, and few enough for the user to know them all."""

SETUP_LINK: Final = "setup"
"""Store key of the link that creates the first administrator."""

NAME_MAX: Final = 150
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]*")


class UserUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.passwords = Passwords(context)
        self._last_use = LastUse(context.clock)
        tallies = context.store.tallies
        self._rate_limit = RateLimit(context.monotonic, tallies, Tally.TOKEN_MADE, burst=BURST)

    async def add(
        self, name: str, *, role: Role, password: str, actor: str, only_first: bool = False
    ) -> UserRecord:
        """Add a user.

        Raises InvalidInputError, and ConflictError (name taken, or `only_first` and a user exists).
        """
        _check_name(name)
        check_password(password, name)
        hashed = await self.passwords.hash(password)
        async with self._context.store.transaction():
            there = await self._context.store.users.list()
            if not only_first:
                check_name_free("user", name, {each.id: each.name for each in there})
            record = await self._context.store.users.add(
                name, role, password_hash=hashed, now_s=self._context.clock(), only_first=only_first
            )
            # any new user invalidates the set-up link, so that it does not revive if all users are removed
            await self._context.store.meta.remove(SETUP_LINK)
            await self._context.audit(actor, "user.added", f"user {name}", {"role": role})
        log.info("user.added", user=name)
        return record

    async def set_password(self, name: str, *, password: str, actor: str) -> None:
        """Replace a user's password and end the user's sessions, API tokens and unused join tokens.

        Raises InvalidInputError, NotFoundError.
        """
        check_password(password, name)
        hashed = await self.passwords.hash(password)
        async with self._context.store.transaction():
            await self._context.store.users.set_password(name, hashed)
            await self._context.audit(actor, "user.password_changed", f"user {name}")

    async def get(self, name: str) -> UserRecord:
        """Return one user. Raises NotFoundError."""
        return (await self._context.store.users.get(name))[0]

    async def list(self) -> Sequence[UserRecord]:
        return await self._context.store.users.list()

    async def set_role(self, name: str, *, role: Role, seen: str | None = None, actor: str) -> None:
        """Replace a user's role, at once for sessions too; end the user's API tokens and unused join tokens.

        `seen` is the role that the administrator saw, None for any. Raises NotFoundError and
        ChangedMeanwhileError, and ConflictError for one's own role or the last administrator's.
        """
        if name == actor:
            raise ConflictError("you cannot change your own role; another administrator can")
        async with self._context.store.transaction():
            now = (await self._context.store.users.get(name))[0].role
            if seen not in {None, now}:
                raise ChangedMeanwhileError(
                    f"somebody else made {name} {now} in the meantime (before: {str(seen)[:20]}); choose again if that is not right"
                )
            had_administrator = await self._has_administrator()
            if not await self._context.store.users.set_role(name, role):
                return
            await self._check_administrator(name, had_administrator=had_administrator)
            await self._context.audit(actor, "user.role_changed", f"user {name}", {"role": role})

    async def tokens(self, name: str | None) -> Sequence[TokenRecord]:
        """Return a user's API tokens (None: all users'), without the secrets."""
        return await self._context.store.users.tokens(name, now_s=self._context.clock())

    async def remove_token(self, token_id: int, *, name: str | None, actor: str) -> TokenRecord:
        """Revoke an API token (of this user, if named) and the unused join tokens made with it; return it.

        Raises NotFoundError.
        """
        async with self._context.store.transaction():
            record = await self._context.store.users.remove_token(token_id, name=name)
            await self._context.audit(actor, "token.removed", f"user {record.user}", {"label": record.label})
        return record

    async def remove(self, name: str, *, actor: str) -> None:
        """Remove a user and all of the user's tokens.

        Raises NotFoundError, and ConflictError for one's own account or the last administrator.
        """
        if name == actor:
            raise ConflictError("you cannot delete your own account; another administrator can")
        async with self._context.store.transaction():
            had_administrator = await self._has_administrator()
            await self._context.store.users.remove(name)
            await self._check_administrator(name, had_administrator=had_administrator)
            await self._context.audit(actor, "user.removed", f"user {name}")
        self.passwords.forget()

    async def new_token(
        self, name: str, *, label: str, days: int, scope: Scope | None, actor: str
    ) -> tuple[str, float]:
        """Make an API token for a user; return it (shown once) and its expiry.

        A scope of None grants the user's current role.

        Raises InvalidInputError, ConflictError (too many tokens), AccessError FORBIDDEN (a scope beyond the
        user's role), NotFoundError, and ThrottledError if too many were made recently.
        """
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise InvalidInputError("days", f"a token is valid for 1 to {TOKEN_DAYS_MAX} days")
        self._rate_limit.check(name)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now_s = self._context.clock()
        expires_s = now_s + days * 86400
        async with self._context.store.transaction():
            user, _ = await self._context.store.users.get(name)
            chosen = Scope(user.role) if scope is None else scope
            if not fits(chosen, user.role):
                raise AccessError(
                    f"a token of '{name}', who is {user.role}, cannot be for {chosen}",
                    reason=Reason.FORBIDDEN,
                )
            await self._context.store.users.add_token(
                name,
                token_hash=hash_token(token),
                label=label[:NAME_MAX],
                scope=chosen,
                expires_s=expires_s,
                now_s=now_s,
                most=TOKENS_PER_USER_MAX,
            )
            detail = {"label": label[:NAME_MAX], "scope": chosen, "expires_s": expires_s}
            await self._context.audit(actor, "token.made", f"user {name}", detail)
        # only tokens that were made, and thus audited, count
        self._rate_limit.admits(name)
        return token, expires_s

    async def by_token(self, token: str, *, address: str) -> Caller:
        """Return the caller of this API token. Raises AccessError."""
        # 256 random bits cannot be guessed, so their holder is never throttled because of others
        caller = await self.find_token(hash_token(token), source=address)
        return admit(
            self._context, caller, address=address, refusal="the token is unknown, revoked or expired"
        )

    async def find_token(self, token_hash: str, *, source: str | None = None) -> Caller | None:
        """Return the caller of the API token with this hash, None if it is not valid.

        `source` is the address that used it.
        """
        users = self._context.store.users
        found = await users.owner_of_token(token_hash, now_s=self._context.clock())
        if found is None:
            return None
        user, token = found
        if source is not None:

            async def write(now_s: float) -> None:
                await users.token_used(token.id, source=source[:SOURCE_MAX], now_s=now_s)

            await self._last_use.note(token.id, token.last_used_s, write)
        scope = Scope(token.scope)
        return Caller(
            user=replace(user, role=role_of(scope, user.role)),
            credential=Credential.API_TOKEN,
            proof=token_hash,
            token_id=token.id,
            push_only=scope is Scope.PUSH_ONLY,
            provisions=scope is Scope.PROVISIONING,
            until_s=token.expires_s,
        )

    async def _has_administrator(self) -> bool:
        return any(each.role is Role.ADMINISTRATOR for each in await self._context.store.users.list())

    async def _check_administrator(self, name: str, *, had_administrator: bool) -> None:
        """Roll back a change that left no administrator: two administrators may remove each other at once."""
        if had_administrator and not await self._has_administrator():
            raise ConflictError(
                f"'{name}' is the last administrator; make another user an administrator first"
            )


def findings_of_user(name: str, password: str) -> Sequence[InvalidInputError]:
    """Return every finding about a new user's name and password."""
    found: list[InvalidInputError] = []
    for check in (partial(_check_name, name), partial(check_password, password, name)):
        try:
            check()
        except InvalidInputError as error:
            found.append(error)
    return found


def _check_name(name: str) -> None:
    if len(name) > NAME_MAX or not NAME_PATTERN.fullmatch(name):
        raise InvalidInputError(
            "name",
            f"a user's name has 1 to {NAME_MAX} letters, digits and @ . _ + -, beginning with a letter or digit",
        )
    if likeness(name) in {CONSOLE, RENEWAL}:
        who = (
            "who works on the machine itself" if likeness(name) == CONSOLE else "the renewal of certificates"
        )
        raise InvalidInputError("name", f"'{name}' stands in the audit log for {who}; choose another name")


def admit(context: Context, caller: Caller | None, *, address: str, refusal: str) -> Caller:
    """Return the caller that a token identifies.

    Raises AccessError for None, and counts that as a failed sign-in.
    """
    if caller is None:
        context.attempted(Attempt.SIGN_IN_FAILED, name="", source=source_of(address))
        log.warning("login.refused", address=address)
        raise AccessError(refusal)
    return caller


def hash_token(token: str) -> str:
    """Return the stored hash of a token. Its 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
