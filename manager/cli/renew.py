"""`certcast renew`: renew now, and optionally wait for the result.

Waiting ends with the order, or with its first failure; the manager then continues by itself.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Final

import typer

from common.runtime.terminal import say
from manager.cli.failures import EXIT_REFUSED, ApiRefusedError
from manager.cli.renewal_options import RenewedArgument, TimeoutOption, WaitOption
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import span

if TYPE_CHECKING:
    from common.api.renewals import OrderAnswer, RenewalAnswer
    from manager.cli.client import Client

ORDER_POLL_S: Final = 1.0
"""Interval between queries for the order's progress; the shortest step takes about a second."""

WAIT_S: Final = 900.0
"""Longest wait by default: a proof may take ten minutes to reach all name servers."""

_SUCCEEDED: Final = frozenset({"served", "tested"})
_OVER: Final = _SUCCEEDED | {"failed"}
CONFLICT: Final = 409


def renew(
    context: typer.Context,
    renewal_id: RenewedArgument,
    wait: WaitOption = False,
    timeout_s: TimeoutOption = WAIT_S,
    json: JsonOption = False,
) -> None:
    """Renew a certificate now, before its time.

    Set up its renewal first: certcast renewal set --help. The certificate's nodes get the new one; with
    --wait the command ends when all of them serve it. Exit status 1 means that the order failed or did not
    end in time; the manager then tries again by itself.

    Example: certcast renew meet.example.com --wait
    """
    begin(context, renewal_id, "order", wait=wait, timeout_s=timeout_s, json=json)


def begin(
    context: typer.Context, renewal_id: int, act: str, *, wait: bool, timeout_s: float, json: bool
) -> None:
    """Begin an order (`act`: order or test), and wait for its end if requested. Raises typer.Exit if it failed."""

    async def work(client: "Client") -> bool:
        from common.api.renewals import OrderAnswer, RenewalAnswer
        from manager.cli.decoding import read

        try:
            answer = await client.post("renewals", str(renewal_id), act)
        except ApiRefusedError as error:
            if error.status != CONFLICT:
                raise
            found = read(await client.get("renewals", str(renewal_id)), RenewalAnswer)
            raise _hinted(error, found, is_test=act == "test") from error
        order = read(answer, OrderAnswer)
        done = "has begun" if order.problem is None else "goes on"
        begun = f"Order {order.id} for {', '.join(order.names)} {done}."
        present(answer, lambda _: say(begun), json=json)
        return not wait or await _follow(client, renewal_id, order, timeout_s=timeout_s)

    if not ask(context, work):
        raise typer.Exit(EXIT_REFUSED)


def _hinted(error: ApiRefusedError, found: "RenewalAnswer", *, is_test: bool) -> ApiRefusedError:
    """Return the refusal of an order with a hint what to do, depending on the renewal's state."""
    if found.paused and not is_test:
        told = error.saying(f"renewal {found.id} is paused")
        return told.with_hint(f"to go on: certcast renewal resume {found.id}")
    if found.state == "stopped":
        return error.with_hint(
            f"to give it another account: certcast renewal set {found.id} --account ACCOUNT"
        )
    if found.account is None:
        return error.with_hint(f"to order it: certcast renewal set {found.id} --account ACCOUNT")
    if any(each.state not in _OVER for each in found.orders):
        return error.with_hint(f"'certcast renewal show {found.id}' has its steps")
    return error.with_hint(f"'certcast renewal show {found.id}' has its state and its orders")


async def _follow(client: "Client", renewal_id: int, begun: "OrderAnswer", *, timeout_s: float) -> bool:
    """Show the steps of an order; return whether it succeeded in time. Raises CertcastError.

    A failure from before the order continued is not reported again.
    """
    from common.api.renewals import RenewalAnswer
    from manager.cli.decoding import read

    progress = OrderProgress()
    if begun.problem is not None:
        progress.news(begun)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = read(await client.get("renewals", str(renewal_id)), RenewalAnswer)
                order = next((each for each in found.orders if each.id == begun.id), None)
                if order is None:
                    raise ApiRefusedError(
                        f"order {begun.id} is gone, since its renewal was removed", status=0
                    )
                for line in progress.news(order):
                    say(line, err=True)
                if has_failed(order) and order.problem != begun.problem:
                    say(_ahead(found, order), err=True)
                    return False
                if order.state in _SUCCEEDED:
                    return True
                await asyncio.sleep(ORDER_POLL_S)
    except TimeoutError:
        say(f"not finished after {timeout_s:.0f} s; the manager goes on by itself", err=True)
        return False


class OrderProgress:
    """The steps of an order that were shown so far."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._steps: set[tuple[float, str]] = set()
        self._waits = ""

    def news(self, order: "OrderAnswer") -> list[str]:
        """Return a line for each new step, and for a new reason to wait."""
        from manager.cli.renewal_tables import step

        lines = [
            f"{step(each.state)}{f': {each.message}' if each.message else ''}"
            for each in order.steps
            if (each.at_s, each.state) not in self._steps
        ]
        self._steps |= {(each.at_s, each.state) for each in order.steps}
        if order.waits_for and order.waits_for != self._waits:
            lines.append(f"waits: {order.waits_for}")
        self._waits = order.waits_for
        passed_s = time.monotonic() - self._began_s
        return [f"{line} ({passed_s:.1f} s)" for line in lines]


def has_failed(order: "OrderAnswer") -> bool:
    """Whether an order's last step is a failure, even if it will continue; waiting is not a failure."""
    return order.state == "failed" or (order.problem is not None and not order.waits_for)


def _ahead(renewal: "RenewalAnswer", order: "OrderAnswer") -> str:
    """Say what follows a failure, and how to fix it."""
    from manager.cli.renewal_tables import what_helps

    helps = what_helps(order.problem, renewal)
    return f"{_follows(renewal, order)}{f' {helps}' if helps else ''}"


def _follows_test(real: "OrderAnswer", test: "OrderAnswer") -> bool:
    """Whether a test order ended because this real one began, rather than before it."""
    return not real.test and real.id > test.id and real.created_at_s <= test.steps[-1].at_s


def _follows(renewal: "RenewalAnswer", order: "OrderAnswer") -> str:
    if order.test and any(_follows_test(each, order) for each in renewal.orders):
        return "The real order took its place."
    if order.test:
        return "The test order failed; nothing else was changed."
    if renewal.next_at_s is None:
        return "It failed, and is not tried again automatically."
    return f"It failed, and is tried again in {span(renewal.next_at_s - time.time())}."
