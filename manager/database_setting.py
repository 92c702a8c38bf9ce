"""Database setting from outside file and variables: a credential, or a file in the manager's directory.

The service manager hands over the credential. The file exists if this manager was told the address when it
joined another. Invariant: no error quotes an address.
"""

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from common.errors import ConflictError, InvalidInputError
from common.runtime.regular_file import open_regular
from manager.store.address import URL_CHARACTERS_MAX

DATABASE_CREDENTIAL: Final = "certcast-database"
"""The name under which systemd's LoadCredential= hands over the setting `database`."""

TOLD_FILE: Final = "database"
"""A file in the manager's directory, readable only by its owner."""


def credential() -> Path | None:
    """Return the path of the service manager's credential, if there is one."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory, DATABASE_CREDENTIAL) if directory else None
    return path if path is not None and path.exists() else None


def read_credential(path: Path) -> str:
    """Return the address. The service manager sets the file's mode. Raises InvalidInputError."""
    return _read(path, private=False)


def read_told(data: Path) -> str | None:
    """Return the address this manager was told.

    Raises InvalidInputError, ConflictError if other accounts can read it.
    """
    path = data / TOLD_FILE
    try:
        path.lstat()
    except OSError:
        return None  # it does not exist, or this account may not look, which the following code reports
    return _read(path, private=True)


def _read(path: Path, *, private: bool) -> str:
    try:
        with os.fdopen(
            open_regular(path, os.O_RDONLY | (os.O_NOFOLLOW if private else 0)), encoding="utf-8"
        ) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and mode & 0o077:
                raise ConflictError(
                    f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {shlex.quote(str(path))}"
                )
            return file.read(URL_CHARACTERS_MAX + 2).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidInputError("database", f"{path} is not UTF-8") from error
    except OSError as error:
        raise InvalidInputError("database", f"{path} cannot be read: {error.strerror}") from error
