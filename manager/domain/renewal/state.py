"""State of a renewal as one word, and whether its certificate is in use. Pure.

Invariant: states that need a user's action, or delay a renewal, take precedence over automatic ones.
"""

from collections.abc import Sequence

from common.codes import RenewalState
from manager.domain.inventory import Entry
from manager.domain.renewal.records import AccountRecord, OrderRecord, RenewalRecord


def state_of(
    renewal: RenewalRecord, orders: Sequence[OrderRecord], account: AccountRecord | None
) -> RenewalState:
    """Return a renewal's state; `orders` are its latest, newest first. Test orders do not count.

    `account` is the one it orders with.
    """
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
    """Whether no node has its certificate any more although one had; their present ones are not renewed."""
    return renewal.is_placed and not entry.places
