"""Tree watch: a hint that somebody changed the live tree, by the kernel's directory notification (fcntl F_NOTIFY, a signal).

Decides nothing: the minute's upkeep is the truth, and this only makes it come sooner. The old interface is enough for that, comes
with Python, and costs an open directory each; inotify would need a library over ctypes or a compiled one.
Invariant: SIGIO has a handler before the first directory is watched, since it ends a process that has none.
"""

import fcntl
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from common.runtime.trusted import open_directory

CHANGES: Final = (
    fcntl.DN_MODIFY
    | fcntl.DN_CREATE
    | fcntl.DN_DELETE
    | fcntl.DN_RENAME
    | fcntl.DN_ATTRIB
    | fcntl.DN_MULTISHOT
)


class Signals(Protocol):
    """The loop, as far as it is needed."""

    def add_signal_handler(self, sig: int, callback: Callable[[], object]) -> None:
        """Call back in the loop when the signal came."""


class TreeWatch:
    """Watches directories. `watch` names those that count from now on."""

    def __init__(self, loop: Signals, changed: Callable[[], object]) -> None:
        loop.add_signal_handler(signal.SIGIO, changed)
        self._watched: dict[Path, int] = {}

    def watch(self, directories: Iterable[Path]) -> None:
        """Watch these and no others; one that cannot be watched is left to the minute."""
        wanted = set(directories)
        for path in self._watched.keys() - wanted:
            os.close(self._watched.pop(path))
        for path in wanted - self._watched.keys():
            with suppress(OSError):
                self._watched[path] = _watch(path)


def _watch(path: Path) -> int:
    descriptor = open_directory(path)
    try:
        fcntl.fcntl(descriptor, fcntl.F_NOTIFY, CHANGES)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
