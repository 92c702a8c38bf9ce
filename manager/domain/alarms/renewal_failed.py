"""A certificate could not be renewed at the last attempt, and will be tried again."""

from typing import Final

from common.words import counted, date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, OrderState, RenewalRecord
from manager.domain.renewal.schedule import continues_at_s, problem_is_of_replaced

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_FAILED, 27, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> Condition | None:
    """Say what went wrong, in the CA's words, and when it is tried again; None if nothing did with the certificate that is there. `order` is the one that is not over."""
    problem = renewal.problem
    if problem is None or not renewal.failures:
        return None
    is_looked_at = order is not None and order.state is OrderState.TAKEN_OVER
    if problem_is_of_replaced(renewal, entry) and not is_looked_at:
        # about to be forgotten
        return None
    message = problem.message[:1].upper() + problem.message[1:].removesuffix(".")
    # where the CA is asked for something, its own words are a part of the message only if it was about that
    said = f' The CA says: "{problem.detail}".' if problem.detail and problem.detail not in message else ""
    times = "" if renewal.failures == 1 else f" It has failed {counted(renewal.failures, 'time')} in a row."
    again_s = continues_at_s(renewal, entry, order)
    # somebody did something about it since: it rests no longer
    again = " It is being tried again."
    if renewal.is_paused:
        again = " It is paused."
    elif renewal.is_stopped and again_s is None:
        # which has an alarm of its own
        again = ""
    elif again_s is None or again_s > problem.at_s:
        again = f" It is tried again on {date(again_s)}."
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_FAILED, f"{message}.{said}{times}{again}")
