"""Alarm conditions of renewals: reads them from the store and passes them to the domain."""

from collections.abc import Sequence

from manager.domain.alarms import (
    Condition,
    renewal_failed,
    renewal_overdue,
    renewal_proof_left,
    renewal_requested,
    renewal_stopped,
    renewal_unserved,
)
from manager.domain.inventory import Inventory
from manager.domain.renewal.capacity import Occupancy
from manager.domain.renewal.schedule import entry_of
from manager.store.store import Store


async def conditions_of_renewals(store: Store, inventory: Inventory, *, now_s: float) -> Sequence[Condition]:
    """Return the alarm conditions of renewals. Raises StorageError."""
    kept = await store.renewals.list()
    renewals = [each for each in kept if not each.is_over]
    unfinished = await store.orders.unfinished() if renewals else []
    orders = {each.renewal_id: each for each in unfinished}
    occupancy = Occupancy(kept, unfinished, now_s=now_s)
    found: list[Condition | None] = []
    accounts = {each.id: each for each in await store.accounts.list()} if renewals else {}
    for renewal in renewals:
        account = None if renewal.terms is None else accounts.get(renewal.terms.account_id)
        entry = entry_of(renewal, inventory.entries)
        found += [
            renewal_failed.condition(renewal, entry, orders.get(renewal.id)),
            renewal_overdue.condition(
                renewal,
                entry,
                orders.get(renewal.id),
                waits=occupancy.waits_until(renewal, entry),
                now_s=now_s,
            ),
            renewal_unserved.condition(renewal, entry, orders.get(renewal.id)),
            renewal_requested.condition(renewal, entry),
            renewal_stopped.condition(renewal, entry, account),
            renewal_proof_left.condition(renewal, entry, now_s=now_s),
        ]
    return [each for each in found if each is not None]
