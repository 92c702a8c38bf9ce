"""Tasks of the runner of renewals: what waits for a CA, a node, a DNS server or a command, while others go on.

Decides how many of one account run at once. Invariants: of one key there is one task at a time; and all have ended once their group has.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable


class TaskPool:
    """What runs in a group. `at_once` is how many tasks of one kind do; `ended` is called after each."""

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
        """Let something run that waits for its turn among those of its kind, unless there is a task with this key."""
        if key in self._tasks:
            return
        task = self._group.create_task(self._run(act, kind))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._forget(key))

    def end(self) -> None:
        """Cancel all, each once, since it may take time to end what it has begun; until then it stays known."""
        for task in self._tasks.values():
            if not task.cancelling():
                task.cancel()

    async def _run(self, act: Callable[[], Coroutine[object, object, None]], kind: Hashable) -> None:
        async with self._turns[kind]:
            await act()

    def _forget(self, key: Hashable) -> None:
        del self._tasks[key]
        self._ended()
