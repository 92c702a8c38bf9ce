"""API answers for renewals and their orders.

Invariant: no answer has a proof of a name for a CA, nor a request's key.
"""

from collections.abc import Mapping

from common.api.renewals import OrderAnswer, OrderProblem, OrderStepAnswer, RenewalAnswer, RenewalWindow
from manager.domain.etag import etag_of_renewal
from manager.domain.renewal.records import AccountId, AccountRecord, OrderRecord, Problem, RenewalRecord
from manager.domain.renewal.schedule import window_for
from manager.domain.renewal.state import state_of
from manager.usecases.renewal.shown import ShownRenewal


def renewal_answer(shown: ShownRenewal, accounts: Mapping[AccountId, AccountRecord]) -> RenewalAnswer:
    """Return a renewal's terms and state; `accounts` are all accounts."""
    renewal, entry = shown.renewal, shown.entry
    terms, leaf = renewal.terms, None if entry is None else entry.leaf
    # an account added since the accounts were read is missing
    account = None if terms is None else accounts.get(terms.account_id)
    state = state_of(renewal, shown.orders, account)
    return RenewalAnswer(
        id=renewal.id,
        state=state,
        certificate=renewal.certificate_id,
        subject_name="" if leaf is None else leaf.display_name,
        not_after_s=None if leaf is None else leaf.not_after_s,
        account=None if terms is None else terms.account_id,
        challenge=None if terms is None else terms.challenge,
        profile="" if terms is None else terms.profile,
        preferred_chain="" if terms is None else terms.preferred_chain,
        key=None if terms is None else terms.key,
        keeps_key=terms is not None and terms.keeps_key,
        names=() if terms is None else terms.names,
        ordered_names=shown.names,
        send_to=renewal.send_to,
        nodes=renewal.nodes,
        slot=renewal.slot,
        paused=renewal.is_paused,
        next_at_s=None if state == "stopped" else shown.next_at_s,
        window=_window(renewal, shown),
        failures=renewal.failures,
        retry_at_s=renewal.retry_at_s,
        problem=_problem(renewal.problem),
        request=renewal.request_id,
        created_at_s=renewal.created_s,
        changed_at_s=renewal.changed_s,
        orders=[order_answer(each) for each in shown.orders],
        tag=etag_of_renewal(renewal),
        account_registered=None if terms is None else account is not None and bool(account.url),
        waits_until=shown.waits_until if state == "waiting" else "",
    )


def order_answer(order: OrderRecord) -> OrderAnswer:
    """Return an attempt's progress, step by step."""
    return OrderAnswer(
        id=order.id,
        test=order.is_test,
        state=order.state,
        names=order.names,
        certificate=order.answer_id,
        steps=[
            OrderStepAnswer(at_s=each.at_s, state=each.state, message=each.message, failure=each.is_failure)
            for each in order.steps
        ],
        problem=_problem(order.problem),
        waits_for=order.waits_for,
        recheck_at_s=order.recheck_at_s,
        created_at_s=order.created_s,
        changed_at_s=order.changed_s,
    )


def _window(renewal: RenewalRecord, shown: ShownRenewal) -> RenewalWindow | None:
    window = window_for(renewal, shown.entry)
    if window is None:
        return None
    return RenewalWindow(starts_at_s=window.start_s, ends_at_s=window.end_s, why=renewal.window_why)


def _problem(problem: Problem | None) -> OrderProblem | None:
    if problem is None:
        return None
    return OrderProblem(at_s=problem.at_s, message=problem.message, type=problem.type, detail=problem.detail)
