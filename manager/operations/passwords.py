"""Passwords: making what is kept of them, and proving users by them while strangers guess.

Decides in which order a password is tried: one that was verified a moment ago passes at once; one that comes too early after failures
is refused unread; everything else waits for its turn to be hashed. Invariants: a password is kept as its Argon2id hash; a wrong name,
and a password that is too long, cost and count as much as a wrong password; neither concerns who comes from elsewhere.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from common.errors import AccessError, InvalidInputError, NotFoundError, ThrottledError
from common.source import source_of
from manager.domain.attempts import Attempt
from manager.domain.model import UserRecord
from manager.operations.context import Context
from manager.operations.devices import Devices
from manager.operations.throttle import Throttle
from manager.operations.turns import Turns

log = structlog.get_logger(__name__)

PASSWORD_MIN: Final = 12
"""NIST SP 800-63B 3.1.1.2 asks for at least 8; this is for administrators of a fleet's keys."""

PASSWORD_MAX: Final = 1024
VERIFIED_S: Final = 300.0
"""How long a verified password is remembered after its last use: clients of the API send it with each request, and Argon2 takes 50 ms."""

VERIFIED_MAX: Final = 10_000
"""Users whose verified password is remembered, each for every address that proved it."""

NAME_MAX: Final = 150
"""Characters of a name, as somebody claims it, that are counted by and told."""

T = TypeVar("T")


class Passwords:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._hasher = PasswordHasher()
        self._dummy = _dummy_hash()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self._verified: OrderedDict[tuple[str, str, str], tuple[bytes, float]] = OrderedDict()
        self._salt = secrets.token_bytes(32)
        self.devices = Devices(context)
        self.throttle = Throttle(context.monotonic)
        self.turns = Turns(self.throttle.failures_of, context.monotonic)

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        return await self._aside(lambda: self._hasher.hash(password))

    async def prove(self, name: str, password: str, *, address: str, device: str = "") -> UserRecord:
        """Return the user that name and password prove; `device` is what a browser keeps of an earlier sign-in.

        Raises AccessError; ThrottledError if it was not even tried.
        """
        try:
            return await self._prove(name, password, address, device)
        except ThrottledError:
            self._context.attempted(Attempt.SIGN_IN_DELAYED, name=name[:NAME_MAX], source=source_of(address))
            raise

    async def _prove(self, name: str, password: str, address: str, device: str) -> UserRecord:
        record, hashed = await self._look_up(name)
        # only where it was proven: from anywhere else, a guess at it would be told apart without waiting
        place = (name, hashed, source_of(address))
        if record is not None and self._is_verified(place, password):
            return record
        claimed, source, known = name[:NAME_MAX], source_of(address), False
        if record is not None and device:
            recognised = await self.devices.recognise(device, name, hashed)
            source, known = recognised or source, recognised is not None
        self.throttle.check(claimed, source)
        async with self.turns.take(source, known=known):
            # again, because those that came at the same time have failed while this one waited
            self.throttle.check(claimed, source)
            # what is too long is hashed as far as passwords go, and proves nothing
            proven = await self._aside(lambda: self._matches(hashed, password[:PASSWORD_MAX]))
            if proven and record is not None and len(password) <= PASSWORD_MAX:
                self.throttle.succeeded(claimed, source)
                self._remember(place, password)
                return record
            self.throttle.failed(claimed, source)
        self._context.attempted(Attempt.SIGN_IN_FAILED, name=claimed, source=source_of(address))
        log.warning("login.refused", user=claimed, address=address)
        raise AccessError("the user name or password is wrong")

    async def new_device(self, name: str) -> str:
        """Return what the browser keeps in which this user has just signed in. Raises NotFoundError."""
        _, hashed = await self._context.store.users.get(name)
        return await self.devices.issue(name, hashed)

    def forget(self) -> None:
        """Forget every verified password."""
        self._verified.clear()

    async def _look_up(self, name: str) -> tuple[UserRecord | None, str]:
        try:
            return await self._context.store.users.get(name)
        except NotFoundError:
            return None, self._dummy

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
        return True

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._salt, f"{name}\0{password}".encode(errors="replace"), "sha256")

    def _is_verified(self, place: tuple[str, str, str], password: str) -> bool:
        known = self._verified.get(place)
        if known is None or known[1] <= self._context.monotonic() or len(password) > PASSWORD_MAX:
            return False
        if not hmac.compare_digest(known[0], self._mark(place[0], password)):
            return False
        self._remember(place, password)
        return True

    def _remember(self, place: tuple[str, str, str], password: str) -> None:
        self._verified.pop(place, None)
        self._verified[place] = (self._mark(place[0], password), self._context.monotonic() + VERIFIED_S)
        while len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def check_password(password: str) -> None:
    """Refuse what cannot be a password. Raises InvalidInputError."""
    if len(password) < PASSWORD_MIN:
        raise InvalidInputError("password", f"a password has at least {PASSWORD_MIN} characters")
    if len(password) > PASSWORD_MAX:
        raise InvalidInputError("password", f"a password has at most {PASSWORD_MAX} characters")


@cache
def _dummy_hash() -> str:
    """Return what a password is compared to where there is no such user; nothing matches it."""
    return PasswordHasher().hash(secrets.token_hex())
