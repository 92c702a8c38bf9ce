"""State of a renewal, in one word, and whether anybody has what it brings. Pure.

Invariant: what needs somebody to act, or keeps a renewal from its moment, is said before what goes on by itself.
"""

from collections.abc import Sequence

from common.codes import RenewalState
from manager.domain.inventory import Entry
from manager.domain.renewal.records import AccountRecord, OrderRecord, RenewalRecord


def state_of(
    renewal: RenewalRecord, orders: Sequence[OrderRecord], account: AccountRecord | None
) -> RenewalState:
    """Return the word; `orders` are its latest, the latest first, `account` is where it is ordered. An order that only tries whether one would do counts for nothing."""
    if renewal.is_over:
        return "ending"
    if renewal.is_paused:
        return "paused"
    if renewal.terms is None and renewal.request_id is not None:
        return "requested"
    if account is not None and account.is_deactivated:
        return "stopped"
    if renewal.failures:
        return "failing"
    latest = orders[0] if orders else None
    return "ordering" if latest is not None and not (latest.is_test or latest.state.is_over) else "waiting"


def is_displaced(renewal: RenewalRecord, entry: Entry) -> bool:
    """Whether no node has its certificate any more, though nodes had one that it has brought: what they have now is not renewed by it."""
    return renewal.is_placed and not entry.places
