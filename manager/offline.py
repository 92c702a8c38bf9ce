"""Offline commands: operations on a store from its own machine, whether or not a manager serves it.

Decides the contents of a new store. Invariant: a store appears whole or not at all.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from common.codes import Role
from common.errors import ConflictError, NotFoundError, Reason, StorageError
from common.ids import MANAGEMENT_NODE, NodeName
from common.runtime import durable
from common.runtime.ssh import generate_key
from common.text import printable
from manager.domain.audit import CONSOLE
from manager.domain.model import UserRecord
from manager.own_node import own_node
from manager.settings import Settings
from manager.store.audit import RESTORED
from manager.store.claims import SERVING_FILE
from manager.store.inventory import Inventories
from manager.store.meta import HOST_KEY
from manager.store.opening import open_store
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import KEK_FILE, Keyring, create_kek, load_keyring
from manager.store.sqlite import free_name
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.managers import ManagerUseCases
from manager.usecases.nodes import IssuedToken
from manager.usecases.ports import NoFleet
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from manager.usecases.users import UserUseCases
from manager.usecases.workers import Workers

STAGED: Final = ".new"
"""Where `init` stages the files it publishes at its end."""

_MAY_BE_THERE: Final = frozenset((STAGED, KEK_FILE, SERVING_FILE, "lost+found"))
"""What a new store's directory may contain: an interrupted `init`, another store's key, a filesystem's own
files.
"""

_SHOWN_NAMES, _SHOWN_CHARS = 3, 60


async def initialise(settings: Settings, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Create a store: keys, database, and the management node. Overwrites nothing; restarts if interrupted.

    The key-encryption key is on disk before any data it seals. The tables, with a new store's whole content,
    appear last: the database's file by its name, a server's database by one transaction.
    """
    data, staged = settings.data, settings.data / STAGED
    place = settings.place if settings.database is not None else StorePlace(staged, None)

    async def fill(store: Store) -> None:
        await _fill(store, names=names or (socket.getfqdn().lower(),), addresses=addresses)
        await asyncio.to_thread(_publish_kek, staged, data)

    try:
        keyring = await asyncio.to_thread(_make_data_dir, data, staged)
        try:
            await (await Store.create(place, keyring, fill=fill)).close()
            if settings.database is None:
                await asyncio.to_thread(durable.publish, staged / DATABASE_FILE, data / DATABASE_FILE)
        finally:
            await asyncio.to_thread(durable.remove_tree, staged)
    except OSError as error:
        raise StorageError(f"{data} cannot be made: {error.strerror}", reason=Reason.PERMISSION) from error


async def _fill(store: Store, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    await store.meta.secret_set(HOST_KEY, generate_key())
    async with Workers() as workers:
        context = _context(store, workers, MANAGEMENT_NODE)
        await UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=()).nodes.add_management_node(
            names=names, addresses=addresses, actor=CONSOLE
        )


async def add_user(settings: Settings, *, name: str, role: Role, password: str) -> None:
    """Add a user to the store, whether or not a manager runs on it."""
    async with _users(settings) as users:
        await users.add(name, role=role, password=password, actor=CONSOLE)


async def set_password(settings: Settings, *, name: str, password: str) -> None:
    """Replace a user's password, whether or not a manager runs on the store."""
    async with _users(settings) as users:
        await users.set_password(name, password=password, actor=CONSOLE)


async def list_users(settings: Settings) -> Sequence[UserRecord]:
    """Return the users of the store."""
    async with _users(settings) as users:
        return await users.list()


async def own_fingerprint(settings: Settings) -> str:
    """Return the SHA-256 fingerprint of this manager's assigned certificate. Raises NotFoundError."""
    own = await asyncio.to_thread(own_node, settings.data)
    async with open_store(settings.place) as store:
        for each in await store.assignments.list():
            if each.node == own and each.slot == "server":
                return (await store.certificates.get(each.certificate_id)).fingerprint
    raise NotFoundError(f"the management node has no certificate in the store at {settings.data}")


async def new_manager_token(settings: Settings, *, tells_database: bool) -> IssuedToken:
    """Create a token with which another manager joins this store's.

    Works whether or not a manager runs here. Raises ConflictError, StorageError.
    """
    own = await asyncio.to_thread(own_node, settings.data)
    async with open_store(settings.place) as store, Workers() as workers:
        context = _context(store, workers, own)
        return await ManagerUseCases(context, None).new_token(tells_database=tells_database, actor=CONSOLE)


async def bump_epoch(settings: Settings) -> int:
    """Raise the store's epoch and return it."""
    async with open_store(settings.place) as store:
        async with store.transaction():
            epoch = await store.meta.bump_epoch()
            await store.audit.append(
                at_s=store.clock(), actor=CONSOLE, action=RESTORED, subject=f"epoch {epoch}"
            )
        return epoch


def _make_data_dir(data: Path, staged: Path) -> Keyring:
    """Create both directories, and return the new store's keyring. A new key is not published yet.

    An existing key-encryption key may be another store's: it stays, and this store uses it too.
    """
    durable.make_dirs(data.parent, 0o755)
    durable.make_dir(data, 0o700)
    free_name(data / DATABASE_FILE)
    _check_empty(data)
    durable.remove_tree(staged)
    durable.make_dir(staged, 0o700)
    if (data / KEK_FILE).exists():
        return load_keyring(data)
    create_kek(staged)
    return load_keyring(staged)


def _check_empty(data: Path) -> None:
    """Raise ConflictError if a directory contains other files: the operator named the wrong one."""
    others = sorted(each.name for each in data.iterdir() if each.name not in _MAY_BE_THERE)
    if others:
        named = ", ".join(f"'{printable(name)[:_SHOWN_CHARS]}'" for name in others[:_SHOWN_NAMES])
        more = f" and {len(others) - _SHOWN_NAMES} more" if len(others) > _SHOWN_NAMES else ""
        raise ConflictError(
            f"{data} is not empty: it has {named}{more}; name a directory that is empty or does not exist yet"
        )


def _publish_kek(staged: Path, data: Path) -> None:
    if not (data / KEK_FILE).exists():
        durable.publish(staged / KEK_FILE, data / KEK_FILE)


@asynccontextmanager
async def _users(settings: Settings) -> AsyncIterator[UserUseCases]:
    own = await asyncio.to_thread(own_node, settings.data)
    async with open_store(settings.place) as store, Workers() as workers:
        yield UserUseCases(_context(store, workers, own))


def _context(store: Store, workers: Workers, own: NodeName) -> Context:
    """Return the dependencies of use cases without a running manager: changes reach the fleet by the store."""
    return Context(
        store=store,
        inventories=Inventories(store),
        fleet=NoFleet(),
        workers=workers,
        own_node=own,
        clock=store.clock,
    )
