"""Cores of a siege: the manager has one more than everybody else, as on a machine of its own.

Attackers, clients and nodes would compute elsewhere. What they do to the manager is measured, not that they compute beside it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ALL: Final = frozenset(os.sched_getaffinity(0))
OTHERS: Final = frozenset(sorted(ALL)[len(ALL) // 2 :])
"""All of them where there is only one."""


@contextmanager
def room_left() -> Iterator[None]:
    """Let this process, and all that it starts in the block, stay off the cores that are the manager's alone."""
    os.sched_setaffinity(0, OTHERS)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALL)


def give_all(pid: int) -> None:
    """Let a process run on every core, with the threads and the processes that it has and will have."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), ALL)
        for child in (task / "children").read_text().split():
            give_all(int(child))
