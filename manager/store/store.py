"""The store: one place, one database, its topics as attributes.

Decides which engine keeps a place.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

from common.errors import Reason, StorageError
from manager.domain.members import MemberId
from manager.store.accounts import Accounts
from manager.store.address_book import AddressBook
from manager.store.alarms import Alarms
from manager.store.asked_pushes import AskedPushes
from manager.store.assignments import Assignments
from manager.store.audit import Audit
from manager.store.audit_faults import AuditFaults
from manager.store.backend import Engine
from manager.store.catalogue import Catalogue
from manager.store.certificates import Certificates
from manager.store.change_listener import ChangeListener
from manager.store.clients import Clients
from manager.store.copying import Side
from manager.store.csrs import Csrs
from manager.store.documents import Documents
from manager.store.duties import Duties
from manager.store.engine import Database
from manager.store.feed import Feed
from manager.store.generations import Generations
from manager.store.holds import Holds
from manager.store.host_keys import HostKeyStore
from manager.store.journal import Journal, Touched
from manager.store.manager_tokens import ManagerTokens
from manager.store.members import Members
from manager.store.meta import Meta
from manager.store.nodes import Nodes
from manager.store.orders import Orders
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.placed_challenges import PlacedChallenges
from manager.store.renewals import Renewals
from manager.store.reports import Reports
from manager.store.roles import Roles
from manager.store.schema import bring_up_to_date
from manager.store.sealing import Keyring
from manager.store.sessions import Sessions
from manager.store.sightings import Sightings
from manager.store.sqlite import Sqlite
from manager.store.tallies import Tallies
from manager.store.trust import TrustedCas
from manager.store.users import Users

CHECK_S: Final = 2.0
"""How long a check's reading may take, and its writing; a health check waits for 5 s."""

Fill = Callable[["Store"], Awaitable[None]]
"""Fills a new store with its initial content."""


class Store:
    """Call `create` or `open` to get one."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self.meta = Meta(database, keyring)
        self.host_keys = HostKeyStore(self.meta)
        self.manager_tokens = ManagerTokens(database, self.meta)
        self.address_book = AddressBook(database, self.meta)
        self.certificates = Certificates(database, keyring)
        self.assignments = Assignments(database)
        self.trusted_cas = TrustedCas(database)
        self.catalogue = Catalogue(database, keyring)
        self.csrs = Csrs(database, keyring)
        self.accounts = Accounts(database, keyring)
        self.renewals = Renewals(database)
        self.orders = Orders(database, keyring)
        self.alarms = Alarms(database)
        self.documents = Documents(database)
        self.nodes = Nodes(database)
        self.generations = Generations(database, keyring)
        self.reports = Reports(database)
        self.users = Users(database)
        self.clients = Clients(database)
        self.roles = Roles(database)
        self.sessions = Sessions(database)
        self.audit = Audit(database, keyring)
        self.audit_faults = AuditFaults(database, self.meta)
        self.members = Members(database)
        self.holds = Holds(database)
        self.duties = Duties(database)
        self.sightings = Sightings(database)
        self.asked_pushes = AskedPushes(database)
        self.placed_challenges = PlacedChallenges(database)
        self.feed = Feed(database)
        self.tallies = Tallies(database, keyring)
        self.change_listener = ChangeListener(database, self.tallies)

    @classmethod
    async def create(cls, place: StorePlace, keyring: Keyring, *, fill: Fill | None = None) -> Self:
        """Create a store where there is none, and open it.

        `fill` writes in the transaction that makes the tables.

        On SQLite the directory is created too, for its owner only. Raises ConflictError if there is a store
        already, StorageError, InvalidInputError (a server that cannot hold one), and what `fill` raises; then
        there is none.
        """
        engine = engine_of(place)
        await engine.make()
        try:
            await cls._migrate(engine, keyring, is_new=True, fill=fill)
        except BaseException:
            await engine.unmake()
            raise
        return cls(Database(engine), keyring)

    @classmethod
    async def open(cls, place: StorePlace, keyring: Keyring) -> Self:
        """Open the existing store, and migrate it unless a newer release has done so.

        Raises NotFoundError, ConflictError (managers serve it that could not continue), StorageError,
        InvalidInputError.
        """
        engine = engine_of(place)
        await engine.find()
        await cls._migrate(engine, keyring, is_new=False, fill=None)
        database = Database(engine)
        async with database.read() as connection:
            await database.now_s(connection)
        return cls(database, keyring)

    @classmethod
    async def _migrate(cls, engine: Engine, keyring: Keyring, *, is_new: bool, fill: Fill | None) -> None:
        database = Database(engine, patient=True)
        try:
            async with database.write() as connection:
                await engine.check(connection, is_new=is_new)
                await connection.run_sync(bring_up_to_date, keyring, now_s=await database.now_s(connection))
                if fill is not None:
                    await fill(cls(database, keyring))
        finally:
            await database.close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Make all writes of this task in the block one transaction.

        Committed at its end, undone if it raises.

        All other writers wait meanwhile, so nothing in the block may take long or wait for another task.
        Raises StorageError.
        """
        async with self._database.write():
            yield

    def on_condition(
        self, check: Callable[[], Awaitable[None]] | None
    ) -> contextlib.AbstractContextManager[None]:
        """Make each change of this task in the block only if this check, run in its transaction, passes."""
        return self._database.on_condition(check)

    def act_as(self, member: MemberId) -> None:
        """Make each change from now on only while this member's row exists, else raise MembershipLostError.

        `Members.join` and `leave` are exempt. A change that already waits for its turn belongs to the former
        member. Reads need no membership.
        """
        self._database.act_as(member)

    def stand_down(self, why: str) -> None:
        """Refuse every write from now on with a MembershipLostError that says `why`."""
        self._database.stand_down(why)

    @property
    def is_shared(self) -> bool:
        """Whether several managers can serve this store at once, which its engine decides."""
        return self._database.is_shared

    def clock(self) -> float:
        """Return the time, in unix seconds.

        The same for all managers of the store, whatever their clocks say.
        """
        return self._database.clock.now_s()

    def derived_key(self, purpose: str) -> bytes:
        """Return a secret of 256 bits that all managers share, and that the database does not reveal."""
        return self._keyring.derive(purpose)

    @property
    def rights_revision(self) -> int:
        """Counts changes of rights, as far as this process knows: its own, and others' through the feed."""
        return self._database.rights_revision

    @property
    def journal(self) -> Journal:
        """The journal of what this process's changes touched."""
        return self._database.journal

    @property
    def touched(self) -> Touched:
        """What this task's open transaction has touched so far."""
        return self._database.opened.touched

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run this once this task's `transaction` is on disk, before any other writer begins.

        Never if it is undone.

        It must not raise.
        """
        self._database.after_commit(effect)

    @contextlib.asynccontextmanager
    async def side(self) -> AsyncIterator[Side]:
        """Lend the whole store as the target of a copy, in one transaction. Raises StorageError."""
        async with self._database.write() as connection:
            yield Side(database=self._database, connection=connection)

    async def check(self) -> None:
        """Check that the store reads, writes and has room, within limits.

        Raises StorageError, which says what failed.
        """
        try:
            async with asyncio.timeout(CHECK_S):
                await self.meta.epoch()
        except TimeoutError as error:
            message = f"the store has not answered for {CHECK_S:g} s"
            raise StorageError(message, reason=Reason.TIMEOUT) from error
        try:
            async with asyncio.timeout(CHECK_S):
                await self.meta.check(now_s=time.time())
        except TimeoutError as error:
            message = (
                f"the store answers, but nothing could be written for {CHECK_S:g} s: "
                "another process holds it, or its disk is slow"
            )
            raise StorageError(message, reason=Reason.BUSY) from error
        await self._database.engine.check_room()

    async def close(self) -> None:
        await self._database.close()


def engine_of(place: StorePlace) -> Engine:
    """Return the engine for a place."""
    if place.server is None:
        return Sqlite(place.directory / DATABASE_FILE)
    # its driver takes a tenth of a second to import, and most managers use no server
    from manager.store.postgresql import Postgresql

    return Postgresql(place.server)
