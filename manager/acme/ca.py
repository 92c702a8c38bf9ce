"""CAs as accounts use them, off the loop: the real `Ca` and `Cas` of renewal.

Decides how long a call may take, and how many run at once. Invariant: a call that is cancelled or times out
returns at once, and its thread ends soon after, whatever the CA does.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from manager.acme import accounts, orders
from manager.acme.keys import AccountKey
from manager.acme.session import CaSession, Signer
from manager.acme.transport import tls_context
from manager.domain.renewal.records import AccountRecord, ChallengeKind, Proof
from manager.usecases.renewal.ports import Authorization, Ca, CaError, Directory, Ordered, Suggested

CALL_S: Final = 90.0
"""Limit of a whole call; the longest one reads a list of orders."""

THREADS: Final = 32
"""How many calls run at once, so that silent CAs leave threads for others. The loop's own threads do not
serve calls to strangers."""

_T = TypeVar("_T")


class AcmeCa:
    """A CA as one account uses it, one call at a time. Raises CaError for a key that cannot be read."""

    def __init__(
        self,
        account: AccountRecord,
        *,
        directory_url: str,
        account_url: str,
        key_pem: str,
        clock: Callable[[], float],
        threads: ThreadPoolExecutor,
        call_s: float = CALL_S,
    ) -> None:
        self._account = account
        self._directory_url = directory_url
        self._signer = Signer(AccountKey.load(key_pem), account_url)
        self._clock = clock
        self._threads = threads
        self._call_s = call_s
        self._turn = asyncio.Lock()
        self._session: CaSession | None = None

    async def directory(self) -> Directory:
        """Return what the CA offers."""
        return (await self._ask(CaSession.look_up)).offered

    async def register(self, *, binding_key: str) -> str:
        """Make the account, or find it by its key; return its address."""
        return await self._ask(
            lambda session: accounts.register(session, self._signer, self._account, binding_key=binding_key)
        )

    async def find_account(self) -> str:
        """Return the address of the key's account."""
        return await self._ask(lambda session: session.find_account(self._signer.key))

    async def update_contact(self, contact: Sequence[str]) -> None:
        """Replace the account's contacts."""
        await self._ask(lambda session: accounts.update_contact(session, session.account_url(), contact))

    async def change_key(self, new_key_pem: str) -> None:
        """Replace the account's key; from then on this object signs with the new one."""
        new = AccountKey.load(new_key_pem)
        await self._ask(
            lambda session: accounts.change_key(session, self._signer, new, account_url=session.account_url())
        )

    async def deactivate(self) -> None:
        """End the account for good."""
        await self._ask(lambda session: accounts.deactivate(session, self._signer, session.account_url()))

    async def order(self, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
        """Create an order for these names."""
        return await self._ask(
            lambda session: orders.order(session, names, profile=profile, replaces=replaces)
        )

    async def find_order(self, names: Sequence[str], *, profile: str) -> Ordered | None:
        """Return an existing order for these names that can be continued, None if there is none."""
        return await self._ask(
            lambda session: orders.find_order(session, session.account_url(), names, profile=profile)
        )

    async def look(self, order_url: str) -> Ordered:
        """Return an order's current state."""
        return await self._ask(lambda session: orders.look(session, order_url))

    async def authorization(self, url: str, kind: ChallengeKind) -> Authorization:
        """Return an authorization's current state."""
        return await self._ask(
            lambda session: orders.authorization(
                session, self._signer, url, kind, account_url=session.account_url()
            )
        )

    async def answer(self, proof: Proof) -> None:
        """Ask the CA to validate a proof."""
        await self._ask(lambda session: orders.answer(session, proof))

    async def finalize(self, finalize_url: str, request_pem: str) -> None:
        """Submit the signing request of an order that is ready."""
        await self._ask(lambda session: orders.finalize(session, finalize_url, request_pem))

    async def download(self, certificate_url: str) -> Sequence[str]:
        """Return the certificate with each of its chains, the CA's default first."""
        return await self._ask(lambda session: orders.download(session, certificate_url))

    async def suggested(self, ari_id: str) -> Suggested | None:
        """Return when the CA suggests renewing a certificate."""
        return await self._ask(lambda session: orders.suggested(session, ari_id))

    async def _ask(self, work: Callable[[CaSession], _T]) -> _T:
        try:
            async with asyncio.timeout(self._call_s), self._turn:
                return await self._in_thread(work)
        except TimeoutError as error:
            raise CaError(f"the CA did not answer within {self._call_s:g} s") from error

    async def _in_thread(self, work: Callable[[CaSession], _T]) -> _T:
        loop = asyncio.get_running_loop()
        if self._session is None:
            context = await loop.run_in_executor(self._threads, tls_context, self._account.trusted_cas)
            self._session = CaSession(
                self._directory_url, context=context, signer=self._signer, clock=self._clock
            )
        session = self._session
        try:
            return await loop.run_in_executor(self._threads, work, session)
        except asyncio.CancelledError:
            # its thread may still be using it, so nothing else may
            session.end()
            self._session = None
            raise


class AcmeCas:
    """Makes an `AcmeCa` for an account. `clock` is the wall clock, in unix seconds."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ca")

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Return the account's CA, or its test CA, where the account is found by its key."""
        directory_url = account.staging_url if is_test else account.directory_url
        if not directory_url:
            raise CaError(f"the account '{account.name}' has no CA for test orders", is_final=True)
        return AcmeCa(
            account,
            directory_url=directory_url,
            account_url="" if is_test else account.url,
            key_pem=key_pem,
            clock=self._clock,
            threads=self._threads,
        )

    def close(self) -> None:
        """Accept no more calls. Running calls end with their callers."""
        self._threads.shutdown(wait=False, cancel_futures=True)
