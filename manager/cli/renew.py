"""`certcast renew`: renew now, and wait for what comes of it.

Decides when an order has come to its end, for whoever waits for it: also with its first failure, after which the manager goes on by itself.
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
"""Between two questions how far the order is; the shortest step takes about a second."""

WAIT_S: Final = 900.0
"""Name servers may take ten minutes to tell each other of a proof."""

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

    How it is renewed is set up before: certcast renewal set --help. The nodes that have it get the new one, and with --wait the command ends when all of them serve it. Exit
    status 1 says that the order failed, or did not end in time; the manager then tries again by itself.

    Example: certcast renew meet.example.com --wait
    """
    begin(context, renewal_id, "order", wait=wait, timeout_s=timeout_s, json=json)


def begin(
    context: typer.Context, renewal_id: int, act: str, *, wait: bool, timeout_s: float, json: bool
) -> None:
    """Begin an order (`act`: order or test), and wait for its end if that is wanted. Raises typer.Exit if that was none to be glad of."""

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
    """Return the refusal of an order with what to do about it, by how the renewal stands."""
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
    """Show the steps of an order; return whether it came to a good end in time. What had failed before it goes on is no news. Raises CertcastError."""
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
    """What was told of an order already."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._steps: set[tuple[float, str]] = set()
        self._waits = ""

    def news(self, order: "OrderAnswer") -> list[str]:
        """Return a line for each step since, and for what is waited for."""
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
    """Whether its last step is a failure, after which it may go on; what it only waits for is no step."""
    return order.state == "failed" or (order.problem is not None and not order.waits_for)


def _ahead(renewal: "RenewalAnswer", order: "OrderAnswer") -> str:
    """Say what follows a failure, and what ends it."""
    from manager.cli.renewal_tables import what_helps

    helps = what_helps(order.problem, renewal)
    return f"{_follows(renewal, order)}{f' {helps}' if helps else ''}"


def _follows_test(real: "OrderAnswer", test: "OrderAnswer") -> bool:
    """Whether a test order ended because this one began, and not before."""
    return not real.test and real.id > test.id and real.created_at_s <= test.steps[-1].at_s


def _follows(renewal: "RenewalAnswer", order: "OrderAnswer") -> str:
    if order.test and any(_follows_test(each, order) for each in renewal.orders):
        return "The real order took its place."
    if order.test:
        return "The test order failed; nothing else was changed."
    if renewal.next_at_s is None:
        return "It failed, and nothing tries it again by itself."
    return f"It failed, and is tried again in {span(renewal.next_at_s - time.time())}."
