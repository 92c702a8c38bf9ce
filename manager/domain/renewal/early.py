"""Early renewals: those of certificates that were only due because of their CA's window.

Decides which count, so that windows in the past lead to ever slower renewals, and ordinary renewals do not
slow down one after a revocation. Pure.
"""

from collections.abc import Iterable
from itertools import pairwise

from manager.domain.renewal.chains import leaf_of
from manager.domain.renewal.moments import is_early
from manager.domain.renewal.records import OrderRecord, OrderState
from manager.domain.renewal.schedule import validity_of


def taken_over_early_s(orders: Iterable[OrderRecord], *, since_s: float) -> list[float]:
    """Return when, since then, early orders of a renewal replaced the certificate of the order before.

    Oldest first.

    A certificate from elsewhere in between is not an automatic renewal.
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
    # unknown cases count, as in `is_early`
    return leaf is None or (leaf.fingerprint == order.replaces_leaf and is_early(validity_of(leaf), at_s))
