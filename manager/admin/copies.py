"""`certcast-manager backup` and `certcast-manager migrate-store`: the whole store, in another place."""

import asyncio
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say
from manager.account import become_owner, check_reachable, make_for_owner, real_directory
from manager.admin.options import ConfigOption, DataOption, load, load_owned
from manager.settings import DEFAULT_CONFIG, database_removal

if TYPE_CHECKING:
    from manager.store.copying import CopyProgress
    from manager.store.transfer import Transfer

TOLD_EACH_S: Final = 1.0
"""How often a copy reports its progress."""


class StoreEngine(StrEnum):
    """The engines that can hold the store."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class _Teller:
    """Reports a copy's progress if it takes longer than a moment."""

    def __init__(self) -> None:
        self._begun_s = self._told_s = time.monotonic()

    def tell(self, progress: "CopyProgress") -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TOLD_EACH_S:
            self._told_s = now_s
            say(f"{progress.step} {progress.done:,} of {progress.total:,} rows", err=True)

    def sum_up(self, made: "Transfer") -> str:
        seconds = time.monotonic() - self._begun_s
        return f"{made.rows:,} rows were copied and compared in {seconds:.1f} s."


def backup(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where to write it: a new or an empty directory.")
    ],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a backup of the whole store.

    The manager goes on running meanwhile. Wherever the store itself is, the backup is a directory like the manager's own: the database in one file, the key that seals all private
    keys in it, and the last head of the audit log. Keep it as safe as the private keys themselves. README says how it is restored.

    Example: certcast-manager backup /var/backups/certcast-monday
    """
    # before the command leaves its working directory
    target = real_directory(directory.absolute())
    settings = load(config=config, data=data)
    make_for_owner(target, settings.data)
    become_owner(settings.data)
    check_reachable(target)
    from manager.copies import back_up

    teller = _Teller()
    made = asyncio.run(back_up(settings.place, target, teller.tell))
    say(f"The backup is in {target}. {teller.sum_up(made.transfer)}")
    if not made.has_key:
        say(
            "The key-encryption key is not in it: it is handed to the manager as a credential. Keep that, too: no private key "
            "can be read without it.",
            err=True,
        )
    _warn_of_audit(made.transfer)


def migrate_store(
    to: Annotated[
        StoreEngine,
        typer.Option(
            "--to",
            help="Where the store goes: into the database that the setting 'database' names, or into a file in the manager's directory.",
        ),
    ],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the store into PostgreSQL, or from there into a file.

    Stop the manager first, and set 'database' in the settings for either direction. After a manager in PostgreSQL was killed, this is refused until its lease has ended (15 s). Every row is compared afterwards; private keys stay
    sealed. The store that was copied stays as it is, and a copy that was interrupted leaves nothing behind: run it again.

    Example: certcast-manager migrate-store --to postgresql
    """
    settings = load_owned(config=config, data=data)
    from manager.copies import move
    from manager.store.place import StorePlace

    if settings.database is None:
        raise InvalidInputError(
            "database",
            f"the setting 'database' is missing: in {config or DEFAULT_CONFIG}, it names the PostgreSQL database to copy to or from, "
            'for example database = "postgresql:///certcast?host=/run/postgresql"',
        )
    file, server = StorePlace(settings.data, None), settings.place
    source, target = (file, server) if to is StoreEngine.POSTGRESQL else (server, file)
    teller = _Teller()
    made = asyncio.run(move(source, target, teller.tell))
    say(f"The store is now in {target}. {teller.sum_up(made)}")
    _warn_of_audit(made)
    if to is StoreEngine.POSTGRESQL:
        say(
            "Next: systemctl start certcast-manager (and before that, if this was a backup: certcast-manager restored). "
            f"{file} is as it was; the manager does not use it, and all private keys are still in it, sealed."
        )
    else:
        say(
            f"Next: {database_removal(config, settings.data)}, then: systemctl start certcast-manager. What is in {server} is as it "
            "was; the manager does not use it then, and all private keys are still in it, sealed."
        )


def _warn_of_audit(made: "Transfer") -> None:
    if made.audit.broken_at is not None:
        say(
            f"The audit log is broken at entry {made.audit.broken_at}, as it was before: see 'certcast audit verify'.",
            err=True,
        )
