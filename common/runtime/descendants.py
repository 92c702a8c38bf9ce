"""Descendants of a process: its children and theirs, including those in sessions of their own.

Decides by /proc (proc(5)), and only while every parent in between lives: a daemon that has detached from its
parent cannot be attributed. Invariant: a signal reaches only the process that was found, never a later one with
the same number.
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
    """A process, identified by its number and the clock tick of its start. `group` is its process group."""

    pid: int
    began: int
    group: int


def descendants(pid: int) -> Sequence[Found]:
    """Return a process's visible descendants as of now. Reads all of /proc."""
    children: dict[int, list[Found]] = defaultdict(list)
    for parent, process in _running():
        children[parent].append(process)
    found: list[Found] = []
    parents = [pid]
    while parents:
        # each once: numbers that are reused during the reading must not make a cycle
        new = children.pop(parents.pop(), [])
        found += new
        parents += [each.pid for each in new]
    return found


def send(process: Found, number: signal.Signals) -> None:
    """Send a signal to a process unless it has ended or belongs to another user."""
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            # checked after the handle is open: if this is still the process, the handle is its handle
            _, known = _read(process.pid)
            if known.began == process.began:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _running() -> Iterator[tuple[int, Found]]:
    """Yield all visible processes with their parents' numbers; none without /proc."""
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
    # its name, in parentheses, may contain anything
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), Found(pid=pid, began=int(fields[19]), group=int(fields[2]))
