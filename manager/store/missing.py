"""Errors of a store that is not there, or of its key, which the manager's command words: they carry the directory, and no command that puts it right."""

from pathlib import Path

from common.errors import NotFoundError


class NoStoreError(NotFoundError):
    """No store is at a place; `directory` is the manager's, where a file would hold one, and None where a database would."""

    def __init__(self, place: object, directory: Path | None) -> None:
        super().__init__(f"there is no store {place}")
        self.directory = directory


class NoKeyError(NotFoundError):
    """A directory has neither a key-encryption key nor a store's file: there may be no store, or one in a database."""

    def __init__(self, directory: Path, path: Path) -> None:
        super().__init__(f"there is no key-encryption key at {path}")
        self.directory = directory
