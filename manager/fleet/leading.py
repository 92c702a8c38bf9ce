"""Leading: what one manager does for all of a store, and whether that is this one.

Decides nothing of that work. Invariant: whoever asks `is_ours` and works within `enforced` changes nothing once another manager leads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from common.errors import DutyLostError
from manager.store.duties import LEAD
from manager.store.store import Store

log = structlog.get_logger(__name__)


class Lead:
    """`taken` is called when this manager begins to lead."""

    def __init__(self, store: Store, *, taken: Callable[[], None]) -> None:
        self._store = store
        self._taken = taken
        self.is_ours = False

    async def try_to_lead(self) -> None:
        """Lead if nobody does; to be called by a member, again and again. Raises MembershipLostError, StorageError."""
        was, self.is_ours = self.is_ours, await self._store.duties.take(LEAD)
        if self.is_ours and not was:
            log.info("lead.taken")
            self._taken()

    def lose(self) -> None:
        """Lead no longer, because this manager is a member no longer."""
        self.is_ours = False

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let every change that this task makes in the block be made only if this manager leads in its transaction; else DutyLostError is raised."""
        with self._store.on_condition(self._store.duties.condition(LEAD)):
            try:
                yield
            except DutyLostError:
                self.is_ours = False
                raise
