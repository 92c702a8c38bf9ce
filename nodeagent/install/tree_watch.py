"""Tree watch: hints at changes of the live tree, by directory notification of the kernel (fcntl F_NOTIFY, a signal).

Decides nothing: the upkeep each minute finds the truth, and a hint only makes it come sooner. This old interface is
enough for that, comes with Python, and costs one open directory each; inotify would need ctypes or a compiled library.
Invariant: SIGIO has a handler before the first directory is watched, since it kills a process without one.
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
    """The part of the event loop needed here."""

    def add_signal_handler(self, sig: int, callback: Callable[[], object]) -> None:
        """Call back in the loop when the signal arrives."""


class TreeWatch:
    """Watches directories. `watch` replaces the set of them."""

    def __init__(self, loop: Signals, changed: Callable[[], object]) -> None:
        loop.add_signal_handler(signal.SIGIO, changed)
        self._watched: dict[Path, int] = {}

    def watch(self, directories: Iterable[Path]) -> None:
        """Watch only these. A directory that cannot be watched is left to the upkeep each minute."""
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
