"""Foreign errors made ours: what any database's failure means. What only one engine has is explained by that engine.

Invariant: values never appear in a sentence: they may be secrets.
"""

import errno
from typing import Final, cast

from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from common.errors import ConflictError, Reason, StorageError

DISK_FULL: Final = "the disk is full; free space, then try again"


def translated(error: SQLAlchemyError | OSError) -> StorageError | ConflictError:
    """Make a foreign error ours that the engine has no better explanation for."""
    if isinstance(error, IntegrityError):
        return ConflictError(
            "an object with this name or identity already exists, or one that is referred to does not exist"
        )
    if is_out_of_space(error):
        return StorageError(DISK_FULL, reason=Reason.NO_SPACE)
    return StorageError(f"the store failed: {_cause(error)}")


def is_out_of_space(error: BaseException) -> bool:
    """Whether the operating system said that this machine's disk is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _cause(error: SQLAlchemyError | OSError) -> str:
    """Return what went wrong in a few words; the database's own only where they cannot quote a value."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if type(error) in {OperationalError, DatabaseError}:
        return str(cast("DBAPIError", error).orig).partition("\n")[0]
    if isinstance(error, DBAPIError) and error.orig is not None:
        return type(error.orig.__cause__ or error.orig).__name__
    return type(error).__name__
