"""Translation of foreign errors into ours: failures that any database may have.

Engines explain their own ones.

Invariant: no message contains values, which may be secrets.
"""

import errno
from typing import Final, cast

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)

from common.errors import ConflictError, InvalidInputError, Reason, StorageError

DISK_FULL: Final = "the disk is full; free space, then try again"
UNWRITABLE_TEXT: Final = (
    "a text has a character in it that is half of one (U+D800 to U+DFFF), and cannot be kept; leave it out"
)


def translate(
    error: SQLAlchemyError | OSError | UnicodeError,
) -> StorageError | ConflictError | InvalidInputError:
    """Translate a foreign error for which the engine has no better explanation."""
    if is_unwritable_text(error):
        return InvalidInputError("", UNWRITABLE_TEXT)
    if isinstance(error, StatementError) and isinstance(error.orig, StorageError):
        return error.orig  # a column's type refused a value
    if isinstance(error, IntegrityError):
        return ConflictError(
            "an object with this name or identity already exists, or one that is referred to does not exist"
        )
    if is_out_of_space(error):
        return StorageError(DISK_FULL, reason=Reason.NO_SPACE)
    return StorageError(f"the store failed: {_cause(error)}")


def is_unwritable_text(error: BaseException) -> bool:
    """Whether a stored or searched text has half of a surrogate pair in it, which UTF-8 cannot encode."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, UnicodeEncodeError):
        found = found.orig if isinstance(found, DBAPIError) and found.orig is not None else found.__cause__
    return found is not None


def is_out_of_space(error: BaseException) -> bool:
    """Whether the operating system said that this machine's disk is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _cause(error: SQLAlchemyError | OSError | UnicodeError) -> str:
    """Return the cause in a few words; the database's own words only where they cannot quote a value."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if type(error) in {OperationalError, DatabaseError}:
        return str(cast("DBAPIError", error).orig).partition("\n")[0]
    if isinstance(error, DBAPIError) and error.orig is not None:
        return type(error.orig.__cause__ or error.orig).__name__
    return type(error).__name__
