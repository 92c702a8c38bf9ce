"""CAs as accounts ask them, off the loop: the real `Ca` and `Cas` of renewal.

Decides for how long a call may last, and how many run at a time. Invariant: a call that is cancelled, or whose time is over, leaves at once,
and its thread soon after, whatever the CA does.
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
"""For a whole call: the longest reads a list of orders."""

THREADS: Final = 32
"""How many calls wait for CAs at a time, so that some that are silent leave threads for others; the loop's own are for what does not wait for strangers."""

_T = TypeVar("_T")


class AcmeCa:
    """A CA as one account asks it, one call after the other. Raises CaError for a key that cannot be read."""

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
        """Return what it offers."""
        return (await self._ask(CaSession.look_up)).offered

    async def register(self, *, binding_key: str) -> str:
        """Make the account there, or find the one that has its key; return its address."""
        return await self._ask(
            lambda session: accounts.register(session, self._signer, self._account, binding_key=binding_key)
        )

    async def find_account(self) -> str:
        """Return the address of the account that has the key."""
        return await self._ask(lambda session: session.find_account(self._signer.key))

    async def update_contact(self, contact: Sequence[str]) -> None:
        """Tell the CA other contacts."""
        await self._ask(lambda session: accounts.update_contact(session, session.account_url(), contact))

    async def change_key(self, new_key_pem: str) -> None:
        """Give the account another key, which signs from then on here as well."""
        new = AccountKey.load(new_key_pem)
        await self._ask(
            lambda session: accounts.change_key(session, self._signer, new, account_url=session.account_url())
        )

    async def deactivate(self) -> None:
        """End the account for good."""
        await self._ask(lambda session: accounts.deactivate(session, self._signer, session.account_url()))

    async def order(self, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
        """Ask for an order of these names."""
        return await self._ask(
            lambda session: orders.order(session, names, profile=profile, replaces=replaces)
        )

    async def find_order(self, names: Sequence[str], *, profile: str) -> Ordered | None:
        """Return an order of these names that can be gone on with."""
        return await self._ask(
            lambda session: orders.find_order(session, session.account_url(), names, profile=profile)
        )

    async def look(self, order_url: str) -> Ordered:
        """Return an order as it is now."""
        return await self._ask(lambda session: orders.look(session, order_url))

    async def authorization(self, url: str, kind: ChallengeKind) -> Authorization:
        """Return an authorization as it is now."""
        return await self._ask(
            lambda session: orders.authorization(
                session, self._signer, url, kind, account_url=session.account_url()
            )
        )

    async def answer(self, proof: Proof) -> None:
        """Let the CA look at what is shown."""
        await self._ask(lambda session: orders.answer(session, proof))

    async def finalize(self, finalize_url: str, request_pem: str) -> None:
        """Hand in the request of an order that is ready."""
        await self._ask(lambda session: orders.finalize(session, finalize_url, request_pem))

    async def download(self, certificate_url: str) -> Sequence[str]:
        """Return the certificate with its chains, the CA's default first."""
        return await self._ask(lambda session: orders.download(session, certificate_url))

    async def suggested(self, ari_id: str) -> Suggested | None:
        """Return when to renew a certificate."""
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
            # its thread may still be in it, so nobody uses it any more
            session.end()
            self._session = None
            raise


class AcmeCas:
    """Makes what asks a CA. `clock` is the time on the wall, in unix seconds."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ca")

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Return what asks the account's CA, or the one that orders are tried at, where the account is found by its key."""
        directory_url = account.staging_url if is_test else account.directory_url
        if not directory_url:
            raise CaError(f"the account '{account.name}' has no CA that orders are tried at", is_final=True)
        return AcmeCa(
            account,
            directory_url=directory_url,
            account_url="" if is_test else account.url,
            key_pem=key_pem,
            clock=self._clock,
            threads=self._threads,
        )

    def close(self) -> None:
        """Take no more calls. Those that run end with who waits for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)
