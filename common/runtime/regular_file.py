"""Regular files that somebody configured: opened with links followed, and nothing else in their place.

Invariant: only a regular file is opened, so that nothing waits for the other end of a FIFO and no device is set going.
"""

import errno
import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """What is there is no regular file (EINVAL)."""


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor as os.open does, closed on exec. Raises NotRegularError, OSError."""
    try:
        _check(path.stat(), path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    # not to wait for what took its place since
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegularError(errno.EINVAL, "it is not a regular file", str(path))
