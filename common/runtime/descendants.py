"""Descendants of a process: what it has started, and what that has, also in sessions of their own.

Decides whose descendant a process is by /proc (proc(5)), while each parent between them lives: whose a daemon is that has let go of its parent, nobody can tell.
Invariant: a signal is for the process that was found, and never for one that has its number since.
"""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A process by its number and the clock tick in which it began, which no other has; `group` is that of its process group."""

    pid: int
    began: int
    group: int


def descendants(pid: int) -> Sequence[Found]:
    """Return those of a process that may be seen, as they are now. Reads all of /proc."""
    children: dict[int, list[Found]] = defaultdict(list)
    for parent, process in _running():
        children[parent].append(process)
    found: list[Found] = []
    parents = [pid]
    while parents:
        # each once: numbers that change hands while this reads must not make a circle
        new = children.pop(parents.pop(), [])
        found += new
        parents += [each.pid for each in new]
    return found


def send(process: Found, number: signal.Signals) -> None:
    """Send a signal to a process, unless it has ended, or is another user's."""
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            # looked at once the handle is there: if it is this one, the handle is this one's
            _, known = _read(process.pid)
            if known.began == process.began:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _running() -> Iterator[tuple[int, Found]]:
    """Yield all processes that may be seen, each with its parent's number; none where there is no /proc."""
    numbers: list[int] = []
    with suppress(OSError):
        numbers = [int(each.name) for each in _PROC.iterdir() if each.name.isdecimal()]
    for number in numbers:
        # it may end meanwhile
        with suppress(OSError):
            yield _read(number)


def _read(pid: int) -> tuple[int, Found]:
    """Return a process with its parent's number. Raises OSError if it has ended."""
    text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    # its name, in parentheses, may hold anything
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), Found(pid=pid, began=int(fields[19]), group=int(fields[2]))
