"""Passwords: hashing them, and authenticating users by them while attackers guess.

Decides the order of checks. A password that was just verified on the same connection passes at once, and so
does one from the same address until a few guesses failed there. An attempt too soon after failures is refused
unread. All others wait for their turn to be hashed. Invariants: a password is stored as its Argon2id hash. A
wrong name or an overlong password costs and counts as much as a wrong password. Every guess is counted before
its result is used. Guesses from one address do not affect users at other addresses.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from common.errors import AccessError, InvalidInputError, NotFoundError, ThrottledError
from common.source import source_of
from manager.domain.attempts import Attempt
from manager.domain.model import UserRecord
from manager.strength import STRONG, WEAK, is_unguessable, strength_of
from manager.usecases.connections import ClientConnection
from manager.usecases.context import Context
from manager.usecases.devices import Devices
from manager.usecases.dummy_hashing import DummyHashing
from manager.usecases.remembered import Match, RememberedPasswords
from manager.usecases.throttle import Throttle
from manager.usecases.turns import Claim, HashingQueue, Turn

log = structlog.get_logger(__name__)

PASSWORD_MIN: Final = 12
"""NIST SP 800-63B 3.1.1.2 requires at least 8; these passwords protect a fleet's private keys."""

PASSWORD_MAX: Final = 1024

HASH_MEMORY_KIB: Final = 19 * 1024
HASH_ROUNDS: Final = 5
"""OWASP's password storage cheat sheet requires at least 19 MiB and 2 rounds, in one thread.

The library's default is 64 MiB in four threads: every guess would take that much memory, and all cores of a
small machine.
"""

NAME_MAX: Final = 150
"""Characters of a claimed name that are used for counting and reporting."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenUser:
    """A user authenticated by the password that `hashed` belongs to.

    A later password change invalidates this.
    """

    user: UserRecord
    hashed: str


class Passwords:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._hasher = new_hasher()
        self._dummy = _dummy_hash()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self.remembered = RememberedPasswords(context.monotonic)
        self.devices = Devices(context)
        self.throttle = Throttle(context.monotonic, context.store.tallies)
        self.turns = HashingQueue(self.throttle.priority_of, self.throttle.failures_of, context.monotonic)
        self._dummy_hashing = DummyHashing()

    async def hash(self, password: str) -> str:
        """Return the stored hash of a password."""
        return await self._aside(lambda: self._hasher.hash(password))

    async def prove(
        self,
        name: str,
        password: str,
        *,
        address: str,
        device: str = "",
        connection: ClientConnection | None = None,
        session: str = "",
    ) -> ProvenUser:
        """Return the user that name and password authenticate, with the proof.

        `device` is the cookie of an earlier sign-in. `connection` is the client's own, None if it may be
        shared. `session` names the session of a user who is signed in already. Raises AccessError, and
        ThrottledError if the password was not tried.
        """
        record, hashed = await self._look_up(name)
        # an overlong password never authenticates, whatever it is compared with
        user = (name, hashed) if record is not None and len(password) <= PASSWORD_MAX else None
        # a session asks for it rarely and on purpose, so a quick comparison would only help a thief of the
        # session
        quick = user is not None and not session and self._is_remembered(user, address, connection, password)
        if record is not None and quick:
            return ProvenUser(user=record, hashed=hashed)
        claimed, source, known = name[:NAME_MAX], source_of(address), False
        if record is not None and device:
            recognised = await self.devices.recognise(device, name, hashed)
            source, known = recognised or source, recognised is not None
        # using a stolen session from many addresses gives no additional guesses
        counted = (source, f"session {session}") if session else (source,)
        try:
            proven = await self._try(claimed, counted, hashed, password, known=known, hopeless=user is None)
        except ThrottledError:
            self._context.attempted(Attempt.SIGN_IN_DELAYED, name=claimed, source=source_of(address))
            raise
        if proven and record is not None and user is not None:
            is_safe = is_unguessable(password, (name,))
            self._remember(user, address, connection, password, is_unguessable=is_safe)
            return ProvenUser(user=record, hashed=hashed)
        if connection is not None:
            self.throttle.guessed_on(claimed, connection)
        self._context.attempted(Attempt.SIGN_IN_FAILED, name=claimed, source=source_of(address))
        log.warning("login.refused", user=claimed, address=address)
        raise AccessError("the user name or password is wrong")

    async def _try(
        self,
        claimed: str,
        counted: tuple[str, ...],
        hashed: str,
        password: str,
        *,
        known: bool,
        hopeless: bool,
    ) -> bool:
        """Hash a password in its turn, and count the result. Raises ThrottledError."""
        self._check(claimed, counted)
        claim = Claim(user=claimed, source=counted[0], is_known=known, is_hopeless=hopeless)
        async with self.turns.take(claim) as turn:
            if turn is Turn.WORK:
                # checked again, because concurrent attempts have failed while this one waited
                self._check(claimed, counted)
                # an overlong password is hashed up to the limit, and never authenticates
                matches = await self._aside(lambda: self._timed_match(hashed, password[:PASSWORD_MAX]))
                self._count(claimed, counted, proven=matches and not hopeless)
                return matches and not hopeless
        async with self._dummy_hashing.of(claimed):
            self._check(claimed, counted)
            await self._dummy_hashing.pass_time()
            self._count(claimed, counted, proven=False)
        return False

    def _count(self, claimed: str, counted: tuple[str, ...], *, proven: bool) -> None:
        for source in counted:
            if proven:
                self.throttle.succeeded(source)
            else:
                self.throttle.failed(claimed, source)

    def _check(self, claimed: str, counted: tuple[str, ...]) -> None:
        for source in counted:
            self.throttle.check(claimed, source)

    def _remember(
        self,
        user: tuple[str, str],
        address: str,
        connection: ClientConnection | None,
        password: str,
        *,
        is_unguessable: bool,
    ) -> None:
        self.remembered.remember(user, source_of(address), password, is_unguessable=is_unguessable)
        if connection is not None:
            self.remembered.remember(user, connection, password, is_unguessable=is_unguessable)

    def _is_remembered(
        self, user: tuple[str, str], address: str, connection: ClientConnection | None, password: str
    ) -> bool:
        """Whether a password passes unhashed.

        A failed comparison is a guess, and only a few are allowed.
        """
        source = source_of(address)
        found = (
            Match.NOTHING_REMEMBERED
            if connection is None
            else self.remembered.compare(user, connection, password)
        )
        if found is Match.WRONG and connection is not None:
            # the guesser is not the user who authenticated on it, or not alone: proxies share connections
            # between clients
            self.remembered.forget(user, connection)
        is_unguessable = self.remembered.is_unguessable(user, source)
        if found is not Match.RIGHT and self.throttle.may_compare(
            user[0], source, connection, is_unguessable=is_unguessable
        ):
            found = self.remembered.compare(user, source, password)
            if found is Match.WRONG:
                self.throttle.compared(user[0], source)
        if found is Match.WRONG and connection is not None:
            self.throttle.guessed_on(user[0], connection)
        if found is not Match.RIGHT:
            return False
        self._remember(user, address, connection, password, is_unguessable=is_unguessable)
        return True

    async def new_device(self, name: str) -> str:
        """Return the device cookie for a browser in which this user has just signed in.

        Raises NotFoundError.
        """
        _, hashed = await self._context.store.users.get(name)
        return await self.devices.issue(name, hashed)

    def forget(self) -> None:
        """Forget every verified password."""
        self.remembered.forget_all()

    async def _look_up(self, name: str) -> tuple[UserRecord | None, str]:
        try:
            return await self._context.store.users.get(name)
        except NotFoundError:
            return None, self._dummy

    def _timed_match(self, hashed: str, password: str) -> bool:
        started_s = time.perf_counter()
        matches = self._matches(hashed, password)
        self._dummy_hashing.learn(time.perf_counter() - started_s)
        return matches

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
        return True

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def new_hasher() -> PasswordHasher:
    """Return the hasher that makes and verifies password hashes."""
    return PasswordHasher(time_cost=HASH_ROUNDS, memory_cost=HASH_MEMORY_KIB, parallelism=1)


def check_password(password: str, name: str = "") -> None:
    """Refuse a password that this user cannot have. Raises InvalidInputError."""
    if len(password) < PASSWORD_MIN:
        raise InvalidInputError("password", f"a password must have at least {PASSWORD_MIN} characters")
    if len(password) > PASSWORD_MAX:
        raise InvalidInputError("password", f"a password must have at most {PASSWORD_MAX} characters")
    if strength_of(password, (name,)) < STRONG:
        raise InvalidInputError("password", WEAK)


@cache
def _dummy_hash() -> str:
    """Return the hash that stands in for an unknown user's; no password matches it."""
    return new_hasher().hash(secrets.token_hex())
