"""PostgreSQL as the store's engine: for several managers, or where a server exists already.

Owns the connections: how one is made, how long anything on it may take, and what its failures mean.
Invariants: traffic to another machine uses TLS, to the server whose name was checked. Nothing waits without a
limit. A writer reads only once no other one writes. A write never runs twice: if its outcome is unknown, the
error says so.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so
from sqlalchemy import BigInteger, ColumnElement, Connection, Table, any_, event, func, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from common.errors import ConflictError, StorageError
from common.ids import NodeName
from manager.store.address import ServerAddress, ServerHost
from manager.store.backend import NoticeHandlers
from manager.store.claims import OpenConnection, claim_on
from manager.store.connection_pool import give_up_lost, try_out
from manager.store.dialing import DialedConnection, Dialer, account_name, tls_context
from manager.store.missing import NoStoreError
from manager.store.notices import listen_on, tell_on, tell_tallies_on
from manager.store.postgresql_errors import LOST, UNREADABLE, Refusal, explain, refusal_of, summed_up
from manager.store.server_checks import settle, timeline_of
from manager.store.tables import metadata

WRITER_LOCK: Final = 0x63657274
"""The advisory lock that a writer holds ("cert")."""

POOL_MAX: Final = 10
"""Connections of one manager; a server accepts 100 in all by default (`max_connections`)."""

POOL_WAIT_S: Final = 4.0
"""How long a caller waits for a connection while all are in use."""

READER_WAIT_S: Final = 5.0
"""How long a reader waits for a connection in all, including making one: people learn that the server does
not answer while they still look at the page."""

LOCK_WAIT_S: Final = 15
"""How long a writer waits for another process's; longer than a hanging writer keeps its turn."""

HANG_S: Final = 10
"""How long a transaction may be idle before the server ends it: a suspended manager must not hold up the
others."""

KEEPALIVE_S: Final = 10
"""How long the server keeps the connections and locks of a manager that it cannot reach."""

VERSION_TABLE: Final = "alembic_version"

_TABLES: Final = text(
    "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS"
    " (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
)
"""Tables and views in the schema where ours are made, except those of extensions."""

_ELSEWHERE: Final = text(
    "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = ANY (ARRAY['alembic_version', 'audit', 'certificate', 'node']) AND c.relkind = 'r'"
    " AND n.nspname <> current_schema() GROUP BY n.nspname HAVING count(*) = 4 ORDER BY n.nspname LIMIT 1"
)
"""Another schema that holds a store."""


_NOW: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLimits:
    """How long the server works on one statement, and how long we wait for its answer to arrive."""

    statement_s: int
    answer_s: float


LIMITS: Final = StatementLimits(statement_s=20, answer_s=25.0)
PATIENT_LIMITS: Final = StatementLimits(statement_s=1800, answer_s=1830.0)
"""For migrations and copies, which may read everything."""


class Postgresql:
    """The database at this address."""

    reader: Mapping[str, Any] = MappingProxyType(
        {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    )
    # each statement sees all earlier commits, so a writer that has the lock reads the latest state
    writer: Mapping[str, Any] = MappingProxyType({"isolation_level": "READ COMMITTED"})

    is_shared: bool = True

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._first = 0  # the host that accepted us last
        self._schema: str | None = None  # where the tables are, once known

    @property
    def reader_wait_s(self) -> float:
        """How long a reader may wait for its connection; longer if the setting gives a host more time."""
        return max(READER_WAIT_S, self._address.connect_timeout_s)

    def connect(self, *, patient: bool) -> AsyncEngine:
        """Make the pool of connections; none is opened yet."""
        limits = PATIENT_LIMITS if patient else LIMITS

        async def open_one() -> Any:
            return await self._open(limits)

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=open_one,
            # errors' texts end up in logs, and parameters include password hashes and sealed keys
            hide_parameters=True,
            pool_size=POOL_MAX,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_use_lifo=True,
        )
        event.listen(engine.sync_engine, "checkout", try_out)
        event.listen(engine.sync_engine, "handle_error", give_up_lost)
        return engine

    async def make(self) -> None:
        """Do nothing: whoever runs the server creates the database."""

    async def unmake(self) -> None:
        """Do nothing: an uncommitted transaction leaves nothing behind."""

    async def find(self) -> None:
        """Do nothing: the transaction that opens the store checks whether there is one."""

    async def check(self, connection: AsyncConnection, *, is_new: bool) -> None:
        """Check that the database holds a store or, for a new one, nothing at all.

        Raises ConflictError, NoStoreError, InvalidInputError (a server that cannot hold one).
        """
        tables = set((await connection.execute(_TABLES)).scalars())
        if VERSION_TABLE in tables and set(metadata.tables) & tables:
            if is_new:
                raise ConflictError(
                    f"the database {self._address} holds a manager's store already; nothing was changed. Another store needs an empty database"
                )
            return
        if tables:
            some = ", ".join(sorted(tables)[:5])
            raise ConflictError(
                f"the database {self._address} holds tables that are not Certcast's ({some}); give it a database of its own"
            )
        if (other := (await connection.execute(_ELSEWHERE)).scalar()) is not None:
            raise ConflictError(
                f"the store in the database {self._address} is in its schema '{other}', to which the role's search_path does not lead; "
                "correct that with: ALTER ROLE ... SET search_path"
            )
        if not is_new:
            raise NoStoreError(f"in the database {self._address}", None)

    async def check_room(self) -> None:
        """Do nothing: a server does not tell how much room it has."""

    async def take_turn(self, connection: AsyncConnection) -> None:
        """Wait until no other process writes."""
        await connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))

    def timeline(self, connection: AsyncConnection) -> str:
        """Return the timeline that was read when this connection was made."""
        lent = cast("Connection", connection.sync_connection).connection
        return cast("DialedConnection", lent.driver_connection).timeline

    async def now_s(self, connection: AsyncConnection) -> float:
        """Return the server's current time, not the transaction's start."""
        return float((await connection.execute(_NOW)).scalar_one())

    async def tell(self, connection: AsyncConnection, sender: str) -> None:
        """Notify listeners on commit that `sender` may have changed something."""
        await tell_on(connection, sender)

    async def tell_tallies(self, connection: AsyncConnection, text: str) -> None:
        """Notify listeners of a message of tallies on commit."""
        await tell_tallies_on(connection, text)

    @asynccontextmanager
    async def listen(self, handlers: NoticeHandlers) -> AsyncIterator[OpenConnection]:
        """Listen on a separate connection until it is lost. Raises StorageError, InvalidInputError."""
        async with self._kept() as connection:
            try:
                lasting = await listen_on(connection, handlers)
            except LOST as error:
                raise self._failed(error) from error
            yield lasting

    def insert(self, table: Table) -> postgresql.Insert:
        """Return an INSERT that supports ON CONFLICT."""
        return postgresql.insert(table)

    def among(self, column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
        """Return the condition that a column is one of these numbers."""
        return column == any_(literal(list(numbers), postgresql.ARRAY(BigInteger)))

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever assigned."""
        given = {}
        numbered = [name for name, table in metadata.tables.items() if "id" in table.columns]
        for name, sequence in (await _sequences(connection, numbered)).items():
            query = text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608 - quoted by the server
            given[name] = int((await connection.execute(query)).scalar_one())
        return given

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Make each table continue after the highest id that it assigned elsewhere."""
        begun = {name: highest for name, highest in given.items() if highest}
        for name, sequence in (await _sequences(connection, begun)).items():
            await connection.execute(select(func.setval(sequence, begun[name])))

    @asynccontextmanager
    async def claim(self, node: NodeName | None) -> AsyncIterator[OpenConnection]:
        """Hold advisory locks on a separate connection, for as long as the store is served or copied.

        Raises ConflictError, StorageError, InvalidInputError.
        """
        async with self._kept() as connection:
            try:
                claim = await claim_on(connection, f"the database {self._address}", node=node)
            except LOST as error:
                raise self._failed(error) from error
            yield claim

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[Any]:
        connection = await self._open(LIMITS)
        try:
            yield connection
        finally:
            connection.terminate()

    @asynccontextmanager
    async def untouched(self) -> AsyncIterator[None]:
        """Do nothing: a process that writes nothing changes nothing."""
        yield

    async def forbid_writes(self, connection: AsyncConnection) -> None:
        """Forbid all further writes in this transaction."""
        await connection.execute(text("SET TRANSACTION READ ONLY"))

    def _failed(self, error: BaseException) -> StorageError:
        return StorageError(f"{self._at()} failed: {type(error).__name__}; see its log")

    def explain(self, error: SQLAlchemyError | OSError, *, committing: bool) -> StorageError | None:
        """Translate an error that is specific to PostgreSQL."""
        return explain(error, at=self._at(), committing=committing)

    def _at(self) -> str:
        return f"PostgreSQL at {', '.join(map(str, self._address.hosts))}"

    async def _open(self, limits: StatementLimits) -> Any:
        """Open a connection to the host that takes writes. Raises StorageError, InvalidInputError."""
        hosts = self._address.hosts
        context = await asyncio.to_thread(tls_context, self._address) if self._address.is_verified else None
        user = self._address.user or account_name()
        refused: dict[ServerHost, Refusal] = {}
        first = self._first
        for turn in range(len(hosts)):
            which = (first + turn) % len(hosts)
            try:
                connection = await self._open_at(hosts[which], user, context, limits)
            except (*LOST, *UNREADABLE) as error:
                refused[hosts[which]] = refusal_of(error, self._address, user=user)
                continue
            except asyncio.CancelledError:
                # the caller gave up at this host, so the next caller begins with the next one
                self._first = (which + 1) % len(hosts)
                raise
            self._first = which
            return connection
        raise summed_up(refused)

    async def _open_at(
        self, host: ServerHost, user: str, context: ssl.SSLContext | None, limits: StatementLimits
    ) -> Any:
        address = self._address
        dialer = Dialer(is_verified=context is not None, has_password=bool(address.password))
        connection = None
        try:
            connection = await asyncpg.connect(
                host=host.name,
                port=host.port,
                database=address.name,
                user=user,
                # None would mean: whatever the environment or a file in the home directory says
                password=address.password,
                # None would mean: TLS if the server wants to
                ssl=context or False,
                timeout=address.connect_timeout_s,
                command_timeout=limits.answer_s,
                loop=dialer,
                connection_class=DialedConnection,
                server_settings={
                    "application_name": "certcast-manager",
                    "statement_timeout": f"{limits.statement_s}s",
                    "lock_timeout": f"{LOCK_WAIT_S}s",
                    "idle_in_transaction_session_timeout": f"{HANG_S if limits is LIMITS else limits.statement_s}s",
                    # overrides the defaults of the role and the database
                    "synchronous_commit": "on",
                    "TimeZone": "UTC",
                    **_KEEPALIVES,
                },
            )
            # of several hosts, the one that takes writes: a replica that was promoted is found
            async with asyncio.timeout(address.connect_timeout_s):
                self._schema = await settle(connection, address, at=self._at(), schema=self._schema)
                connection.timeline = await timeline_of(connection)
        except BaseException:
            if connection is not None:
                connection.terminate()
            dialer.hang_up()
            raise
        return connection


_KEEPALIVES: Final = {
    "tcp_keepalives_idle": str(KEEPALIVE_S // 2),
    "tcp_keepalives_interval": str(KEEPALIVE_S // 5),
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{KEEPALIVE_S}s",
}


async def _sequences(connection: AsyncConnection, tables: Iterable[str]) -> Mapping[str, str]:
    """Return the sequence that gives each table's ids."""
    return {
        name: str(
            (await connection.execute(select(func.pg_get_serial_sequence(f'"{name}"', "id")))).scalar_one()
        )
        for name in tables
    }
