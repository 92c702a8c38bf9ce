"""Permission checks during long answers.

Invariant: after this process revokes a right, nothing more is sent. After a revocation elsewhere (another
manager, or `certcast-manager` on the same store) nothing is sent once this process learns of it, and in any
case, as after an expiry, after RECHECK_S. No change is committed after a revocation.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final

from manager.usecases.context import Context

RECHECK_S: Final = 5.0
"""Longest time that an answer relies on an earlier read of the store."""


class Rights:
    """Permissions of a running request.

    `check` reads the store, and raises AccessError if the right was revoked.
    """

    def __init__(self, context: Context, check: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._check = check
        self._revision = -1
        self._until_s = float("-inf")

    async def check(self) -> None:
        """Check that the answer may continue, right before it sends something. Raises AccessError."""
        revision, now_s = self._context.store.rights_revision, self._context.monotonic()
        if revision == self._revision and now_s < self._until_s:
            return
        await self._check()
        self._revision, self._until_s = revision, now_s + RECHECK_S

    def enforced(self) -> AbstractContextManager[None]:
        """Commit this task's changes in the block only if the caller still has the right by then."""
        # another manager's change may be in the store before its notification arrives
        return self._context.store.on_condition(self._check if self._context.store.is_shared else self.check)
