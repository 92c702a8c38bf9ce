"""Rights behind long answers: whether who asked may still be told.

Invariant: after a change of rights in this process nothing more is told; after one from elsewhere (another manager, or `certcast-manager` on
the same store) nothing more once it is heard of, and, as after one by the clock, nothing more later than RECHECK_S. Nothing is changed after it.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final

from manager.usecases.context import Context

RECHECK_S: Final = 5.0
"""How long an answer goes on by what was read of the store before."""


class Rights:
    """`check` reads the store, and raises AccessError if the right has gone."""

    def __init__(self, context: Context, check: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._check = check
        self._revision = -1
        self._until_s = float("-inf")

    async def check(self) -> None:
        """Ask whether the answer may go on, right before something is told. Raises AccessError."""
        revision, now_s = self._context.store.rights_revision, self._context.monotonic()
        if revision == self._revision and now_s < self._until_s:
            return
        await self._check()
        self._revision, self._until_s = revision, now_s + RECHECK_S

    def enforced(self) -> AbstractContextManager[None]:
        """Let every change that this task makes in the block be made only if the caller still has the right in its transaction."""
        # what others changed a moment ago is not heard yet, but it is in the store
        return self._context.store.on_condition(self._check if self._context.store.is_shared else self.check)
