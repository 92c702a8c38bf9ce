"""Place of a store: the manager's directory and, if the tables are on PostgreSQL, the database there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from manager.store.address import ServerAddress

DATABASE_FILE: Final = "certcast.db"
"""SQLite's file in the manager's directory."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """`directory` holds this manager's own files (the key-encryption key, the last audit head).

    The tables are in SQLite's file there, or on `server`.
    """

    directory: Path
    server: ServerAddress | None

    @property
    def file(self) -> Path | None:
        """SQLite's file; None where the tables are on a server."""
        return self.directory / DATABASE_FILE if self.server is None else None

    def __str__(self) -> str:
        return str(self.file) if self.server is None else f"the database {self.server}"
