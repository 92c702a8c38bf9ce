"""Renewals as people read them on a terminal. Pure."""

from collections.abc import Iterator, Mapping
from textwrap import shorten
from typing import Final

from common.api.renewals import OrderAnswer, OrderProblem, RenewalAnswer
from common.explained.renewals import ORDER_STEPS
from common.words import counted
from manager.cli.words import ago, moment, span, until

HEADINGS: Final = ("id", "certificate", "renewed with", "expires", "next", "state")
FOLDED: Final = frozenset({"certificate", "renewed with", "state"})

WAITS_MAX_CHARS: Final = 90
"""Characters of an order's reason for waiting in a list: enough for the name and place of a missing proof."""


def row(each: RenewalAnswer, accounts: Mapping[int, str], now_s: float) -> tuple[str, ...]:
    """Return a renewal as a row of the list."""
    expires = "-" if each.not_after_s is None else until(each.not_after_s, now_s)
    return (
        str(each.id),
        certificate(each),
        means(each, accounts),
        expires,
        _next(each, now_s),
        state(each, now_s),
    )


def certificate(each: RenewalAnswer) -> str:
    """Return a renewal's certificate number and names."""
    return f"{'not there yet' if each.certificate is None else each.certificate}: {_names(each)}"


def renewed(each: RenewalAnswer) -> str:
    """Return a renewal's names and certificate number, for use in a sentence."""
    number = "no certificate yet" if each.certificate is None else f"certificate {each.certificate}"
    return f"{_names(each)} ({number})"


def _names(each: RenewalAnswer) -> str:
    return each.subject_name or ", ".join(each.ordered_names) or "-"


def means(each: RenewalAnswer, accounts: Mapping[int, str]) -> str:
    """Return a renewal's account and challenge, or the recipient of its request."""
    if each.account is None:
        return f"a request to {each.send_to}" if each.send_to else "a request"
    return f"{accounts.get(each.account, f'account {each.account}')}, {each.challenge}"


def state(each: RenewalAnswer, now_s: float) -> str:
    """Return a renewal's state in words."""
    latest = each.orders[0] if each.orders else None
    match each.state:
        case "failing":
            return f"failed {counted(each.failures, 'time')}, {_again(each, now_s)}"
        case "waiting" if each.waits_until:
            return f"waits until {each.waits_until}"
        case "stopped":
            return "stopped: its account was deactivated"
        case "requested":
            return f"request {each.request} waits for its answer"
        case "ordering" if latest is not None and latest.waits_for:
            return f"ordering, waiting for: {shorten(latest.waits_for, WAITS_MAX_CHARS, placeholder=' ...')}"
        case "ordering" if latest is not None:
            return f"ordering: {step(latest.state)}"
        case other:
            return other


def step(word: str) -> str:
    """Return an order's state in words; an unknown one of a later manager is returned unchanged."""
    return ORDER_STEPS.get(word, word)


def described(
    each: RenewalAnswer, accounts: Mapping[int, str], now_s: float
) -> list[tuple[str, str | list[str]]]:
    """Return a renewal as names and values, without its orders."""
    rows: list[tuple[str, str | list[str]]] = [
        ("renewal", str(each.id)),
        ("certificate", certificate(each)),
        ("renewed with", means(each, accounts)),
        ("state", state(each, now_s)),
        ("next", _next(each, now_s)),
    ]
    if each.window is not None:
        why = f" ({each.window.why})" if each.window.why else ""
        span_of = f"{moment(each.window.starts_at_s)} to {moment(each.window.ends_at_s)}"
        rows.append(("suggested by the CA", f"{span_of}{why}"))
    if each.account is not None:
        rows += _ordered(each)
    if each.certificate is None:
        rows.append(("goes to", [f"{node}, slot {each.slot}" for node in each.nodes] or "no node"))
    if each.problem is not None:
        helps = what_helps(each.problem, each)
        problem = _lines(each.problem.message, each.problem.detail)
        rows.append(("last problem", [*problem, helps] if helps else problem))
    if each.state == "stopped":
        rows.append(
            ("to go on", f"give it another account: certcast renewal set {each.id} --account ACCOUNT")
        )
    return rows


def what_helps(problem: OrderProblem | None, renewal: RenewalAnswer) -> str:
    """Return the command that fixes a problem, "" if none is known.

    Changed terms of service are agreed to at the CA, whose message says where.
    """
    account = renewal.account
    if (
        problem is None
        or problem.type != "userActionRequired"
        or account is None
        or renewal.account_registered
    ):
        return ""
    return f"To agree to the CA's terms of service: certcast account register {account} --agree-to-terms"


def attempt(order: OrderAnswer) -> Iterator[str]:
    """Yield an order's lines: a summary, then each step."""
    kind = "test order" if order.test else "order"
    made = f", certificate {order.certificate}" if order.certificate is not None else ""
    yield f"{kind} {order.id} for {', '.join(order.names)}: {step(order.state)}{made}"
    for each in order.steps:
        yield f"  {moment(each.at_s)}  {step(each.state)}{f': {each.message}' if each.message else ''}"
    if order.problem is not None and order.waits_for:
        yield f"  {moment(order.problem.at_s)}  waits: {order.waits_for}"


def _ordered(each: RenewalAnswer) -> list[tuple[str, str | list[str]]]:
    own = "" if each.names else " (as the certificate has them)"
    return [
        ("names", f"{', '.join(each.ordered_names) or '-'}{own}"),
        ("key", "kept" if each.keeps_key else f"new each time, {each.key}"),
        ("profile", each.profile or "the CA's default"),
        ("chain", f"to {each.preferred_chain}" if each.preferred_chain else "the CA's default"),
    ]


def _lines(message: str, detail: str) -> list[str]:
    """Return a problem's message, and the CA's own words unless the message has them."""
    return [message] if not detail or detail in message else [message, detail]


def _next(each: RenewalAnswer, now_s: float) -> str:
    if each.next_at_s is None:
        return "-"
    return f"in {span(each.next_at_s - now_s)}" if each.next_at_s > now_s else "now"


def _again(each: RenewalAnswer, now_s: float) -> str:
    if each.next_at_s is not None and each.next_at_s > now_s:
        return f"tried again in {span(each.next_at_s - now_s)}"
    return f"last {ago(each.problem.at_s, now_s)}" if each.problem is not None else "tried again now"
