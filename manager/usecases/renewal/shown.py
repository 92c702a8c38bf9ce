"""A renewal as front ends show it: with its certificate, its latest orders, and when something happens next.

Invariant: a list, a page and the command that show one tell the same moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, RenewalId, RenewalRecord
from manager.domain.renewal.schedule import continues_at_s, names_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRenewal:
    """A renewal with its certificate, if it is there, and its latest orders, the latest first.

    `waits_until` says until when no order begins that is due, since others go first; "" for nothing, and after a change.
    """

    renewal: RenewalRecord
    entry: Entry | None
    orders: Sequence[OrderRecord]
    waits_until: str = ""

    @property
    def id(self) -> RenewalId:
        """The renewal's number."""
        return self.renewal.id

    @property
    def names(self) -> tuple[str, ...]:
        """For which names is ordered, or a request opened."""
        terms, entry = self.renewal.terms, self.entry
        if terms is not None:
            return names_of(terms, entry)
        # a CA that is sent a request may prove what no order can
        return () if entry is None else entry.leaf.subject_alt_names

    @property
    def next_at_s(self) -> float | None:
        """When the next order begins, one goes on that has failed, or the next request is opened; None while it is paused, or cannot be told."""
        return continues_at_s(self.renewal, self.entry, self.orders[0] if self.orders else None)
