"""The store: one directory, one database, its topics as attributes.

Owns the database file's creation, its mode, and its migrations.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL
from sqlalchemy.engine import Connection

from common.errors import CertcastError, ConflictError, NotFoundError, StorageError
from common.runtime import durable
from manager.store.alarms import Alarms
from manager.store.assignments import Assignments
from manager.store.audit import Audit
from manager.store.catalogue import Catalogue
from manager.store.certificates import Certificates
from manager.store.clients import Clients
from manager.store.documents import Documents
from manager.store.engine import DATABASE_FILE, Database, sqlite_url, translated
from manager.store.generations import Generations
from manager.store.meta import Meta
from manager.store.nodes import Nodes
from manager.store.reports import Reports
from manager.store.requests import Requests
from manager.store.roles import Roles
from manager.store.sealing import Keyring
from manager.store.sessions import Sessions
from manager.store.trust import TrustedCas
from manager.store.users import Users

MIGRATIONS = Path(__file__).parent / "migrations"


class Store:
    """Make one with `create` or `open`."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self.meta = Meta(database, keyring)
        self.certificates = Certificates(database, keyring)
        self.assignments = Assignments(database)
        self.trusted_cas = TrustedCas(database)
        self.catalogue = Catalogue(database, keyring)
        self.requests = Requests(database, keyring)
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

    @classmethod
    async def create(cls, directory: Path, keyring: Keyring) -> Self:
        """Make the database file in a directory that has none, and open it.

        Makes the directory too, for its owner only. Raises ConflictError if there is a store already, StorageError.
        """
        path = directory / DATABASE_FILE
        try:
            await asyncio.to_thread(_make_file, path)
        except FileExistsError as error:
            raise ConflictError(f"{path} exists; this directory already holds a manager's store") from error
        except OSError as error:
            raise StorageError(
                f"{path} cannot be made: {error.strerror}", reason=translated(error).reason
            ) from error
        try:
            return await cls.open(directory, keyring)
        except CertcastError:
            # nothing is in it yet; left there, it would stand in the way of the next attempt
            await asyncio.to_thread(_remove_file, path)
            raise

    @classmethod
    async def open(cls, directory: Path, keyring: Keyring) -> Self:
        """Open the database of a directory, and bring its schema up to date. Raises NotFoundError, StorageError."""
        path = directory / DATABASE_FILE
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError(
                f"there is no store at {path}; 'certcast-manager init --data {directory}' makes one"
            )
        return await cls.connect(sqlite_url(path), keyring)

    @classmethod
    async def connect(cls, url: str | URL, keyring: Keyring) -> Self:
        """Open a database by its URL, and bring its schema up to date. Raises StorageError."""
        database = Database(url)
        try:
            async with database.write() as connection:
                await connection.run_sync(_migrate, keyring)
        except CertcastError:
            await database.close()
            raise
        except CommandError as error:
            await database.close()
            raise StorageError(
                "the store's schema is not one that this version knows; start the version that used it last"
            ) from error
        return cls(database, keyring)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Make one transaction of all that this task writes in the block: kept when it is left, undone if anything in it raises.

        Every other writer waits meanwhile, so nothing in it may take long or wait for another task. Raises StorageError.
        """
        async with self._database.write():
            yield

    def on_condition(
        self, check: Callable[[], Awaitable[None]] | None
    ) -> contextlib.AbstractContextManager[None]:
        """Let every change that this task makes in the block be made only if this check, asked in its transaction, lets it."""
        return self._database.on_condition(check)

    @property
    def rights_revision(self) -> int:
        """How often this process changed who may do what."""
        return self._database.rights_revision

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run this once what this task is writing in its `transaction` is on disk, before anybody else writes; never if it is undone.

        It must not raise.
        """
        self._database.after_commit(effect)

    async def check(self) -> None:
        """Write and read. Raises StorageError if either fails."""
        await self.meta.check(now_s=time.time())

    async def close(self) -> None:
        await self._database.close()


def _make_file(path: Path) -> None:
    durable.make_dir(path.parent, 0o700)
    # SQLite would make it with the umask's mode, and would not sync its name
    durable.create_file(path, b"", mode=0o600)
    durable.sync_dir(path.parent)


def _remove_file(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _migrate(connection: Connection, keyring: Keyring) -> None:
    config = Config()
    # a percent sign would begin an interpolation
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["keyring"] = keyring
    command.upgrade(config, "head")
