"""Copies of a whole store: a backup, and a move to another database engine.

Decides the contents of a backup, and what is locked out meanwhile. Invariant: a backup is itself a manager's
directory, and a database file gets its name once all of it is on disk.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import ConflictError, StorageError
from common.runtime import durable, trusted
from manager.offline import STAGED
from manager.own_node import NODE_FILE, READ_BYTES
from manager.store.copying import ProgressCallback
from manager.store.failures import DISK_FULL, is_out_of_space
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import KEK_BYTES, KEK_FILE, KEKS_MAX, Keyring, load_keyring
from manager.store.sqlite import free_name
from manager.store.transfer import Transfer, transfer
from manager.usecases.heads import WITNESS

BESIDE: Final = {KEK_FILE: KEKS_MAX * KEK_BYTES, WITNESS: 4096, NODE_FILE: READ_BYTES}
"""A store's files besides its database, and how much of each is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The backup written.

    `has_key` tells whether it has the key-encryption key, which may be kept elsewhere.
    """

    transfer: Transfer
    has_key: bool


async def back_up(place: StorePlace, directory: Path, report: ProgressCallback) -> Backup:
    """Write all of a store into an empty directory, with its database as a file, whatever its engine.

    A manager may serve the store meanwhile. Raises NotFoundError, StorageError, and ConflictError if the
    directory is not empty.
    """
    keyring = await asyncio.to_thread(load_keyring, place.directory)
    with _ours(directory):
        if found := [name for name in await asyncio.to_thread(trusted.names_in, directory) if name != STAGED]:
            raise ConflictError(f"{directory} is not empty: {found[0]} is in it; choose a new directory")
        # before the database: if a head is older than the log in the copy, that log contains it
        beside = await asyncio.to_thread(_read_beside, place.directory)
        made = await _write_file(place, directory, keyring, alone=False, beside=beside, report=report)
    return Backup(transfer=made, has_key=KEK_FILE in beside)


async def move(source: StorePlace, target: StorePlace, report: ProgressCallback) -> Transfer:
    """Copy a store to the other engine, which must not have it yet; its directory and key stay the same.

    The store cannot be served or changed meanwhile. Raises NotFoundError, StorageError, and ConflictError if
    a manager serves it or the target already has a store.
    """
    keyring = await asyncio.to_thread(load_keyring, source.directory)
    if target.server is not None:
        return await transfer(source, target, keyring, alone=True, report=report)
    with _ours(target.directory):
        await asyncio.to_thread(free_name, target.directory / DATABASE_FILE)
        return await _write_file(source, target.directory, keyring, alone=True, beside={}, report=report)


async def _write_file(
    source: StorePlace,
    directory: Path,
    keyring: Keyring,
    *,
    alone: bool,
    beside: dict[str, bytes],
    report: ProgressCallback,
) -> Transfer:
    """Write a store's database file into a directory, after the other files.

    After a kill, the next run removes the leftovers first.
    """
    staged = directory / STAGED
    await asyncio.to_thread(durable.remove_tree, staged)
    await asyncio.to_thread(durable.make_dir, staged, 0o700)
    try:
        for name, content in beside.items():
            await asyncio.to_thread(durable.create_file, staged / name, content, mode=0o600)
        made = await transfer(source, StorePlace(staged, None), keyring, alone=alone, report=report)
        for name in (*beside, DATABASE_FILE):
            await asyncio.to_thread(durable.publish, staged / name, directory / name)
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(durable.remove_tree, staged)
    return made


def _read_beside(directory: Path) -> dict[str, bytes]:
    found = {}
    for name, limit in BESIDE.items():
        try:
            found[name] = trusted.read_own_file(directory / name, limit)
        except FileNotFoundError:
            continue  # a key handed over as a credential; a log without a head yet
    return found


@contextmanager
def _ours(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_out_of_space(error):
            raise StorageError(DISK_FULL) from error
        raise StorageError(f"{error.filename or directory} cannot be used: {error.strerror}") from error
