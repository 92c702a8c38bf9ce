"""Runs of a module's `run`, each in a process of its own."""

import signal
from collections.abc import Collection
from multiprocessing import get_context
from types import ModuleType
from typing import Any

from tests.patience import PATIENCE_S

WHOLE_OR_KILLED = frozenset({0, -signal.SIGKILL})


def forked(module: ModuleType, *args: Any, statuses: Collection[int] = WHOLE_OR_KILLED) -> int:
    """Run it to its end, which must be one of these exit codes, and return that; the last argument says where it is killed."""
    # each is forked from a process that has imported everything and done nothing
    processes = get_context("forkserver")
    processes.set_forkserver_preload([module.__name__])
    process = processes.Process(target=module.run, args=args)
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode in statuses, args[-1]
    return process.exitcode
