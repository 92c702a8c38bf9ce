"""Leadership: whether this manager does the work that one manager does for the whole store.

Decides nothing of that work. Invariant: work that checks `is_ours` and runs within `enforced` changes nothing
once another manager leads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from common.errors import DutyLostError
from manager.store.duties import LEAD
from manager.store.store import Store

log = structlog.get_logger(__name__)


class Lead:
    """This manager's leadership. `taken` is called when it begins to lead."""

    def __init__(self, store: Store, *, taken: Callable[[], None]) -> None:
        self._store = store
        self._taken = taken
        self.is_ours = False

    async def try_to_lead(self) -> None:
        """Lead if no manager does; members call it repeatedly. Raises MembershipLostError, StorageError."""
        was, self.is_ours = self.is_ours, await self._store.duties.take(LEAD)
        if self.is_ours and not was:
            log.info("lead.taken")
            self._taken()

    def lose(self) -> None:
        """Stop leading, because this manager is no longer a member."""
        self.is_ours = False

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Make each change of this task in the block conditional on leading, or raise DutyLostError."""
        with self._store.on_condition(self._store.duties.condition(LEAD)):
            try:
                yield
            except DutyLostError:
                self.is_ours = False
                raise
