"""Budget of certificates for the same names: CAs count what they sign, including certificates refused here.

Pure.

Decides until when nothing is ordered automatically. Invariant: of a CA's weekly limit for one set of names,
one certificate is left for the user who fixes the cause.
"""

from collections.abc import Collection, Iterable
from typing import Final

from common.pki.expiry import DAY_S
from common.words import counted
from manager.domain.renewal.names import written
from manager.domain.renewal.records import AccountId, OrderRecord, OrderState

SIGNED_MOST: Final = 5
"""Let's Encrypt signs five certificates with exactly the same names in seven days.

Others have a higher limit or none.
"""

SIGNED_BY_ITSELF_MOST: Final = SIGNED_MOST - 1

SIGNED_WITHIN_S: Final = 7.0 * DAY_S


def signed_s(
    orders: Iterable[OrderRecord], names: Collection[str], accounts: Collection[AccountId]
) -> list[float]:
    """Return when a CA signed certificates that it counts for these names, oldest first.

    `accounts` are those at this CA.

    Certificates that replaced the one they were ordered for are exempt (RFC 9773 5; Let's Encrypt does so).
    """
    found = [
        each.reached_s(OrderState.DOWNLOADED)
        for each in orders
        if set(map(written, each.names)) == set(map(written, names))
        and each.terms.account_id in accounts
        and _is_counted(each)
    ]
    return sorted(found)


def counted_until_s(orders: Iterable[OrderRecord]) -> float:
    """Return until when a CA counts its signings of these orders, 0 if it counts none."""
    signed = [each.reached_s(OrderState.DOWNLOADED) for each in orders if _is_counted(each)]
    return max(signed) + SIGNED_WITHIN_S if signed else 0.0


def _is_counted(order: OrderRecord) -> bool:
    states = {each.state for each in order.steps}
    is_exempt = bool(order.replaces) and OrderState.TAKEN_OVER in states
    return not order.is_test and OrderState.DOWNLOADED in states and not is_exempt


def allowed_s(signed: Collection[float]) -> float:
    """Return when the next automatic order may begin, 0 for at once.

    `signed` are the times of counted signings.
    """
    latest = sorted(signed)[-SIGNED_BY_ITSELF_MOST:]
    return latest[0] + SIGNED_WITHIN_S if len(latest) == SIGNED_BY_ITSELF_MOST else 0.0


def words_of_limit(signed: Collection[float], *, now_s: float) -> str:
    """Return why nothing is ordered automatically for so long."""
    count = len([each for each in signed if each > now_s - SIGNED_WITHIN_S])
    left = "the last one is" if count < SIGNED_MOST else "what it signs next is"
    return f"For these names it has signed {counted(count, 'certificate')} in seven days, and a CA such as Let's Encrypt signs {SIGNED_MOST}; {left} left for whoever resumes the renewal"
