"""Renewal view of front ends: the renewal with its certificate, latest orders and next event.

Invariant: lists, pages and commands show the same time for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, RenewalId, RenewalRecord
from manager.domain.renewal.schedule import continues_at_s, names_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRenewal:
    """A renewal with its certificate, if there is one, and its latest orders, newest first.

    `waits_until` says how long a due order waits behind others; "" for not at all, and after a change.
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
        """Names that are ordered or requested."""
        terms, entry = self.renewal.terms, self.entry
        if terms is not None:
            return names_of(terms, entry)
        # a CA that receives a CSR may prove names that cannot be ordered
        return () if entry is None else entry.leaf.subject_alt_names

    @property
    def next_at_s(self) -> float | None:
        """Time of the next order, retry or request; None if paused or unknown."""
        return continues_at_s(self.renewal, self.entry, self.orders[0] if self.orders else None)
