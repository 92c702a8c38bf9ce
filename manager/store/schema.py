"""Schema of a store: migrations, and which managers may serve the store afterwards.

Decides whether a manager may open a store that a newer one has migrated, and whether a migration may run
while managers serve. Invariant: managers that serve a store know its schema, or one that its last migration
declared old enough.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import func, inspect, select
from sqlalchemy.engine import Connection

from common.errors import ConflictError, StorageError
from manager.store.members import LEASE_S
from manager.store.sealing import Keyring
from manager.store.tables.content import meta
from manager.store.tables.running import member

MIGRATIONS: Final = Path(__file__).parent / "migrations"

OLDEST_BESIDE: Final = "schema-beside"
"""The name in `meta` of the oldest schema whose managers may serve the store; absent if it was made with its
schema."""

BESIDE: Final = "beside"
"""A migration's attribute that names this schema: the one before it, if it only adds what older managers can
ignore."""


def bring_up_to_date(connection: Connection, keyring: Keyring, *, now_s: float) -> None:
    """Run every missing migration; a store that a newer release has migrated stays as it is.

    `now_s` is by the clock that all managers share. Raises StorageError if this release cannot use the
    schema; ConflictError while managers serve that could not use the next one.
    """
    script = ScriptDirectory(str(MIGRATIONS))
    present, newest = _present(connection), str(script.get_current_head())
    by_revision = {each.revision: each for each in script.walk_revisions()}
    if present and present not in by_revision:
        _check_usable(connection, present, newest)
        return
    if present == newest:
        return
    # an earlier migration's declaration counts unless a later one demands more
    needed = max(map(_beside, by_revision.values()))
    if needed > present and _is_served(connection, now_s):
        raise ConflictError(
            f"managers of an earlier release serve this store, and they cannot go on once it has the schema of this release ({newest}): "
            f"stop all of them first. One that was killed counts for {LEASE_S:g} s more"
        )
    config = Config()
    # a percent sign would begin an interpolation
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["keyring"] = keyring
    command.upgrade(config, "head")
    if present:
        _note(connection, needed)


def _present(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _beside(migration: Script) -> str:
    return str(getattr(migration.module, BESIDE, migration.revision))


def _is_served(connection: Connection, now_s: float) -> bool:
    if not inspect(connection).has_table(member.name):
        return False
    # a lease far ahead is from before the clock was set back: live managers have renewed theirs
    is_lease = member.c.renewed_s.between(now_s - LEASE_S, now_s + LEASE_S)
    living = select(func.count()).select_from(member).where(is_lease)
    return bool(connection.execute(living).scalar_one())


def _check_usable(connection: Connection, present: str, newest: str) -> None:
    known = connection.execute(select(meta.c.value).where(meta.c.name == OLDEST_BESIDE)).scalar()
    if known is None or bytes(known).decode() > newest:
        raise StorageError(
            f"the store's schema ({present}) is of a newer release, and not one that this one, which knows {newest}, can use: "
            "bring this machine to the release that used the store last"
        )


def _note(connection: Connection, oldest: str) -> None:
    connection.execute(meta.delete().where(meta.c.name == OLDEST_BESIDE))
    connection.execute(meta.insert().values(name=OLDEST_BESIDE, value=oldest.encode()))
