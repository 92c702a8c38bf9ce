"""Stores for tests: copies of one that was migrated once in this process.

Migrating takes most of the time that a small store takes. Each copy has the same key-encryption key and the
same first key of the audit log, so what one has sealed opens in another; tests of the store itself make their
own.
"""

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from manager.store.engine import Database
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import KEK_FILE, create_kek, load_keyring
from manager.store.store import Store, engine_of


async def _leave_empty(_store: Store) -> None:
    """Leave the copied store empty."""


@dataclass(slots=True)
class Template:
    """A store to copy: a new one with the content from `fill`."""

    fill: Callable[[Store], Awaitable[None]] = _leave_empty
    _files: dict[str, bytes] = field(default_factory=dict)

    async def copy(self, directory: Path) -> Store:
        """Copy the store into a directory without one, and open it."""
        if not self._files:
            self._files = await self._make()
        write_files(directory, self._files)
        # its schema is the newest: opening it as the manager does would look for migrations again
        return Store(Database(engine_of(StorePlace(directory, None))), load_keyring(directory))

    async def _make(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as text:
            directory = Path(text)
            create_kek(directory)
            store = await Store.create(StorePlace(directory, None), load_keyring(directory))
            await self.fill(store)
            await store.close()
            return {name: (directory / name).read_bytes() for name in (KEK_FILE, DATABASE_FILE)}


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(content)


EMPTY = Template()
