"""Offline commands: what an operator does to a store on the machine itself, whether a manager runs on it or not.

Decides what a new store has. Invariant: a store appears whole or not at all.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from common.codes import Role
from common.errors import ConflictError, NotFoundError, Reason, StorageError
from common.ids import MANAGEMENT_NODE
from common.runtime import durable
from common.runtime.ssh import generate_key
from manager.domain.model import UserRecord
from manager.settings import Settings
from manager.store.audit import RESTORED
from manager.store.inventory import Inventories
from manager.store.meta import HOST_KEY
from manager.store.opening import opened
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import KEK_FILE, create_kek, load_keyring
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.ports import NoFleet
from manager.usecases.usecases import UseCases
from manager.usecases.users import UserUseCases
from manager.usecases.workers import Workers

CONSOLE: Final = "console"
"""Who acts when an operator uses `certcast-manager` on the machine itself; stands in the audit log."""

STAGED: Final = ".new"
"""Where `init` makes what it publishes at its end."""


async def initialise(settings: Settings, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Make a new store: keys, database, and the management node. Overwrites nothing, and an interrupted one begins anew.

    Everything is made in a directory of its own; the database's name is the last to appear, so a store is there or not.
    """
    data, staged = settings.data, settings.data / STAGED
    try:
        await asyncio.to_thread(_make_data_dir, data, staged)
        await _fill(staged, names=names, addresses=addresses)
        for name in (KEK_FILE, DATABASE_FILE):
            await asyncio.to_thread(durable.publish, staged / name, data / name)
        await asyncio.to_thread(durable.remove_tree, staged)
    except OSError as error:
        raise StorageError(f"{data} cannot be made: {error.strerror}", reason=Reason.PERMISSION) from error


async def _fill(directory: Path, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    await asyncio.to_thread(create_kek, directory)
    store = await Store.create(StorePlace(directory, None), await asyncio.to_thread(load_keyring, directory))
    try:
        await store.meta.secret_set(HOST_KEY, generate_key())
        async with Workers() as workers:
            context = Context(store=store, inventories=Inventories(store), fleet=NoFleet(), workers=workers)
            use_cases = UseCases(context)
            chosen = tuple(names) or (socket.getfqdn().lower(),)
            await use_cases.nodes.add_management_node(names=chosen, addresses=addresses, actor=CONSOLE)
    finally:
        await store.close()


async def add_user(settings: Settings, *, name: str, role: Role, password: str) -> None:
    """Add a user to the store, whether a manager runs on it or not."""
    async with _users(settings) as users:
        await users.add(name, role=role, password=password, actor=CONSOLE)


async def set_password(settings: Settings, *, name: str, password: str) -> None:
    """Replace a user's password, whether a manager runs on the store or not."""
    async with _users(settings) as users:
        await users.set_password(name, password=password, actor=CONSOLE)


async def list_users(settings: Settings) -> Sequence[UserRecord]:
    """Return the users of the store."""
    async with _users(settings) as users:
        return await users.list()


async def own_fingerprint(settings: Settings) -> str:
    """Return the SHA-256 fingerprint of the certificate that this manager is assigned. Raises NotFoundError."""
    async with opened(settings.place) as store:
        for each in await store.assignments.list():
            if each.node == MANAGEMENT_NODE and each.slot == "server":
                return (await store.certificates.get(each.certificate_id)).fingerprint
    raise NotFoundError(f"the management node has no certificate in the store at {settings.data}")


async def bump_epoch(settings: Settings) -> int:
    """Raise the store's epoch, and return it."""
    async with opened(settings.place) as store:
        async with store.transaction():
            epoch = await store.meta.bump_epoch()
            await store.audit.append(
                at_s=time.time(), actor=CONSOLE, action=RESTORED, subject=f"epoch {epoch}"
            )
        return epoch


def _make_data_dir(data: Path, staged: Path) -> None:
    durable.make_dirs(data.parent, 0o755)
    durable.make_dir(data, 0o700)
    if (data / DATABASE_FILE).exists():
        raise ConflictError(f"{data} holds a manager's store already; nothing was changed")
    durable.remove_tree(staged)
    durable.make_dir(staged, 0o700)


@asynccontextmanager
async def _users(settings: Settings) -> AsyncIterator[UserUseCases]:
    async with opened(settings.place) as store, Workers() as workers:
        context = Context(store=store, inventories=Inventories(store), fleet=NoFleet(), workers=workers)
        yield UserUseCases(context)
