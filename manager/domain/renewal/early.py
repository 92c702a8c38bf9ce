"""Early renewals: those of certificates that were not due yet without the window of their CA.

Decides which count, so that windows which have always passed bring certificates ever more slowly, and an ordinary renewal slows down none that is revoked. Pure.
"""

from collections.abc import Iterable
from itertools import pairwise

from manager.domain.renewal.chains import leaf_of
from manager.domain.renewal.moments import is_early
from manager.domain.renewal.records import OrderRecord, OrderState
from manager.domain.renewal.schedule import validity_of


def taken_over_early_s(orders: Iterable[OrderRecord], *, since_s: float) -> list[float]:
    """Return when, since then, early certificates of a renewal's `orders`, the first one first, took the place of what the one before had brought.

    What somebody else has put there is none that goes on by itself.
    """
    taken_over = [(each, at_s) for each in orders if (at_s := _taken_over_s(each)) is not None]
    return [
        at_s
        for (former, _), (order, at_s) in pairwise(taken_over)
        if at_s > since_s and _replaces_early(order, former, at_s)
    ]


def _taken_over_s(order: OrderRecord) -> float | None:
    return next((each.at_s for each in order.steps if each.state is OrderState.TAKEN_OVER), None)


def _replaces_early(order: OrderRecord, former: OrderRecord, at_s: float) -> bool:
    leaf = leaf_of(former.answer_text)
    # what cannot be told counts, as in `is_early`
    return leaf is None or (leaf.fingerprint == order.replaces_leaf and is_early(validity_of(leaf), at_s))
