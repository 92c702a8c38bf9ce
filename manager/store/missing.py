"""Errors for a missing store or key. They carry the directory; the manager's command words the next step."""

from pathlib import Path

from common.errors import NotFoundError


class NoStoreError(NotFoundError):
    """There is no store.

    `directory` is the manager's if a file would hold the store, None if a database would.
    """

    def __init__(self, place: object, directory: Path | None) -> None:
        super().__init__(f"there is no store {place}")
        self.directory = directory


class NoKeyError(NotFoundError):
    """A directory has neither a key-encryption key nor a store's file.

    There may be no store, or one in a database.
    """

    def __init__(self, directory: Path, path: Path) -> None:
        super().__init__(f"there is no key-encryption key at {path}")
        self.directory = directory
