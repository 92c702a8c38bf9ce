"""A renewal whose last attempt failed, and that will be tried again."""

from typing import Final

from common.words import counted, date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, OrderState, RenewalRecord
from manager.domain.renewal.schedule import continues_at_s, problem_is_of_replaced

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_FAILED, 27, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> Condition | None:
    """Say what went wrong, in the CA's words, and when the next attempt is.

    None if nothing went wrong with the present certificate. `order` is the unfinished one.
    """
    problem = renewal.problem
    if problem is None or not renewal.failures:
        return None
    is_looked_at = order is not None and order.state is OrderState.TAKEN_OVER
    if problem_is_of_replaced(renewal, entry) and not is_looked_at:
        # about to be forgotten
        return None
    message = problem.message[:1].upper() + problem.message[1:].removesuffix(".")
    # some messages quote the CA already
    said = f' The CA says: "{problem.detail}".' if problem.detail and problem.detail not in message else ""
    times = "" if renewal.failures == 1 else f" It has failed {counted(renewal.failures, 'time')} in a row."
    again_s = continues_at_s(renewal, entry, order)
    # a retry earlier than the failure: a user has ended the back-off since
    again = " It is being tried again."
    if renewal.is_paused:
        again = " It is paused."
    elif renewal.is_stopped and again_s is None:
        # this has its own alarm
        again = ""
    elif again_s is None or again_s > problem.at_s:
        again = f" It is tried again on {date(again_s)}."
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_FAILED, f"{message}.{said}{times}{again}")
