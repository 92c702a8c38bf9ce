"""Managers joining a store: the token issued to a new manager, and the answer that it receives.

Decides who receives the store's key. Invariant: a token is used once, within minutes, by one key. The
manager's node, the token's use and the audit entry are written in one transaction. No error contains a key or
a database address.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from common.errors import ConflictError, EnrolmentError, NotFoundError, Reason
from common.ids import NodeName
from common.runtime.ssh import fingerprint, load_key, public_line
from common.source import source_of
from common.wire.contact import ADDRESSES_MAX
from common.wire.enrolment import hash_secret, new_secret
from manager.channel.clustering import ManagerToken, encode_token
from manager.domain.attempts import Attempt
from manager.domain.contact import merge_addresses
from manager.domain.managers import Joined, Newcomer
from manager.store.manager_tokens import ManagerTokenRecord
from manager.usecases.context import Context
from manager.usecases.nodes import IssuedToken, NodeUseCases

TOKEN_S: Final = 30 * 60.0
"""Lifetime of a token. It is worth the store's key, and its maker is about to use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Values that managers of one store share besides the store.

    Attributes:
        read_kek: reads the key-encryption key; raises NotFoundError if it is not in a file.
        kek_ids: the names of its keys.
        database: the address of the database, "" where the store is a file.
        version: this manager's release.
    """

    read_kek: Callable[[], Awaitable[bytes]] = field(repr=False)
    kek_ids: Sequence[str]
    database: str = field(repr=False)
    version: str


class _OvertakenError(Exception):
    """The same key has used the token meanwhile; this attempt is rolled back."""

    def __init__(self, node: NodeName) -> None:
        super().__init__(node)
        self.node = node


class ManagerUseCases:
    """Use cases of managers. `shared` is None where no manager can join because none runs here."""

    def __init__(self, context: Context, shared: Shared | None) -> None:
        self._context = context
        self._shared = shared
        self._nodes = NodeUseCases(context, None)

    async def new_token(self, *, tells_database: bool, actor: str) -> IssuedToken:
        """Issue a token. Raises ConflictError (no manager has run yet, or too many unused tokens)."""
        store, now_s = self._context.store, self._context.clock()
        addresses = merge_addresses((await store.address_book.read()).values(), most=ADDRESSES_MAX)
        if not addresses:
            raise ConflictError(
                "no manager of this store has announced its address yet; start one that has a name or an address"
            )
        _, presented, _ = await store.host_keys.read()
        secret, expires_s = new_secret(), now_s + TOKEN_S
        record = ManagerTokenRecord(
            secret_hash=hash_secret(secret), expires_s=expires_s, tells_database=tells_database
        )
        async with store.transaction():
            await store.manager_tokens.add(record, now_s=now_s)
            detail = {"expires_s": expires_s, "tells_database": tells_database}
            await self._context.audit(actor, "manager.token_made", "another manager", detail)
        token = ManagerToken(
            addresses=list(addresses),
            fingerprint=fingerprint(public_line(load_key(presented))),
            secret=secret,
            expires_s=expires_s,
            tells_database=tells_database,
        )
        return IssuedToken(text=encode_token(token), expires_s=expires_s)

    async def join(self, newcomer: Newcomer, *, secret: str, public_key: str, address: str) -> Joined:
        """Let a manager join with a token.

        The key that used it gets the same answer again until the token expires.

        Raises EnrolmentError TOKEN_UNKNOWN, TOKEN_USED or TOKEN_EXPIRED. A caller with a valid token may also
        get UNSUPPORTED (another release), InvalidInputError (its names) or ConflictError (this manager cannot
        send the key).
        """
        secret_hash = hash_secret(secret)
        try:
            return await self._join(newcomer, secret_hash, public_key, address)
        except EnrolmentError as error:
            if error.reason is Reason.TOKEN_USED:
                await self._reused(secret_hash, public_key, address)
            raise

    async def _join(self, newcomer: Newcomer, secret_hash: str, public_key: str, address: str) -> Joined:
        # rejects guesses here, so that a flood of them does not block writers
        token = await self._find(secret_hash, public_key)
        shared = self._shared
        if shared is None or not shared.database:
            raise ConflictError("the store of this manager is in a file, which it cannot share")
        if newcomer.version != shared.version:
            raise EnrolmentError(
                f"this manager is release {shared.version} and the new one {newcomer.version}; both have to be the same",
                reason=Reason.UNSUPPORTED,
            )
        kek = b"" if set(shared.kek_ids) <= set(newcomer.holds) else await self._read_kek(shared)
        node = token.node or await self._add(newcomer, secret_hash, public_key, address)
        return Joined(node=node, kek=kek, database=shared.database if token.tells_database else "")

    def note_refusal(self, *, address: str) -> None:
        """Count a refused join."""
        self._context.attempted(Attempt.MANAGER_JOIN_REFUSED, name="", source=source_of(address))

    async def _reused(self, secret_hash: str, public_key: str, address: str) -> None:
        """Record that another machine presented a used token, for the alarms. Recorded once per token."""
        tokens = self._context.store.manager_tokens
        known = await tokens.find(secret_hash)
        if known is not None and not known.shown_s:
            by, now_s = fingerprint(public_key), self._context.clock()
            await tokens.shown_again(secret_hash, by=by, address=address, now_s=now_s)

    async def _find(self, secret_hash: str, public_key: str) -> ManagerTokenRecord:
        token = await self._context.store.manager_tokens.find(secret_hash)
        if token is None:
            raise EnrolmentError("this token is unknown here", reason=Reason.TOKEN_UNKNOWN)
        if token.key and token.key != public_key:
            raise EnrolmentError("this token was used by another manager", reason=Reason.TOKEN_USED)
        if token.expires_s <= self._context.clock():
            raise EnrolmentError("this token has expired", reason=Reason.TOKEN_EXPIRED)
        return token

    async def _find_unused(self, secret_hash: str, public_key: str) -> ManagerTokenRecord:
        token = await self._find(secret_hash, public_key)
        if token.node:
            raise _OvertakenError(token.node)
        return token

    async def _add(self, newcomer: Newcomer, secret_hash: str, public_key: str, address: str) -> NodeName:
        store = self._context.store
        try:
            async with self._nodes.adding_management_node(
                names=newcomer.names, addresses=newcomer.addresses
            ) as record:
                # checked again: issuing the node's certificate takes a while, and the first of concurrent
                # requests wins
                token = await self._find_unused(secret_hash, public_key)
                await store.manager_tokens.use(token, key=public_key, node=record.name)
                detail = {"address": address, "key": fingerprint(public_key), "version": newcomer.version}
                actor = subject = f"node {record.name}"
                await self._context.audit(actor, "manager.joined", subject, detail)
        except _OvertakenError as error:
            return error.node
        return record.name

    @staticmethod
    async def _read_kek(shared: Shared) -> bytes:
        try:
            return await shared.read_kek()
        except NotFoundError as error:
            raise ConflictError(
                "the key-encryption key is handed to this manager as a credential, so it is not sent: hand it to the new manager in the "
                "same way, and let that join again"
            ) from error
