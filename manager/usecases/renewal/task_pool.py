"""Task pool of the renewal runner: tasks that wait for a CA, node, DNS server or command run concurrently.

Limits the tasks per account. Invariants: one task per key at a time. All tasks have ended once their group
has.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable


class TaskPool:
    """Tasks in a group. `at_once` limits the tasks of one kind; `ended` is called after each."""

    def __init__(self, group: asyncio.TaskGroup, *, at_once: int, ended: Callable[[], None]) -> None:
        self._group = group
        self._ended = ended
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._turns: dict[Hashable, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once))

    def __contains__(self, key: Hashable) -> bool:
        return key in self._tasks

    def begin(
        self, key: Hashable, act: Callable[[], Coroutine[object, object, None]], *, kind: Hashable
    ) -> None:
        """Start a task that waits for its turn within its kind, unless a task with this key exists."""
        if key in self._tasks:
            return
        task = self._group.create_task(self._run(act, kind))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._forget(key))

    def end(self) -> None:
        """Cancel all tasks, each once, since clean-up may take time; each stays registered until it ends."""
        for task in self._tasks.values():
            if not task.cancelling():
                task.cancel()

    async def _run(self, act: Callable[[], Coroutine[object, object, None]], kind: Hashable) -> None:
        async with self._turns[kind]:
            await act()

    def _forget(self, key: Hashable) -> None:
        del self._tasks[key]
        self._ended()
