"""Whatever keeps a certificate from being renewed is told in words, and once it has passed the renewal is done without anybody's help."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import OrderState
from manager.usecases.renewal.ports import CaError
from tests.pki import DAY_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

DOCUMENT = Path(__file__).parents[4] / "docs/renewal.md"
HOUR_S = 3600.0

Change = Callable[[Renewing], None]


@dataclass(frozen=True)
class Fault:
    """`said` is in the alarm, or, where none is raised, in the order."""

    begin: Change
    end: Change
    said: str
    alarm: AlarmKind | None = AlarmKind.RENEWAL_FAILED


def shown_by(where: str, message: str) -> Fault:
    """Return the fault that a proof is not shown by a node or a name server."""

    def begin(world: Renewing) -> None:
        world.showing.missing_at = lambda _name: where
        world.showing.message = message

    def end(world: Renewing) -> None:
        world.showing.missing_at = lambda _name: ""

    return Fault(begin, end, f"{where} does not show the proof for n1.example.com ({message}")


def failing(act: str, error: CaError, said: str) -> Fault:
    """Return the fault that a CA refuses something until it is told otherwise."""

    def begin(world: Renewing) -> None:
        world.server.to_fail += [(act, error)] * 3

    return Fault(begin, lambda world: world.server.to_fail.clear(), said)


def slow(world: Renewing) -> None:
    world.server.processing_s = HOUR_S


def spoilt(world: Renewing) -> None:
    world.server.to_spoil.append("names")


def nothing(_world: Renewing) -> None:
    """It passes by itself."""


FAULTS = {
    "a node that is down": shown_by(
        "node 'n1', port 80", "192.0.2.1:80 does not answer within 5 s; the node is not connected"
    ),
    "a port 80 that is closed": shown_by(
        "node 'n1', port 80",
        "nobody answers at 192.0.2.1:80: Connection refused; the node says that it shows it",
    ),
    "a DNS server that lies": shown_by(
        "ns2.example.com (192.0.2.53)", "has no text at _acme-challenge.n1.example.com"
    ),
    "a CA that answers 500": failing(
        "order", CaError("ca.example.com answered with status 500"), "Ca.example.com answered with status 500"
    ),
    "a limit of the CA with its time": failing(
        "order",
        CaError(
            "ca.example.com limits how often it is asked: too many certificates",
            type="rateLimited",
            detail="too many certificates",
            retry_after_s=7 * HOUR_S,
        ),
        "limits how often it is asked: too many certificates. It is tried again on 2027-01-15 15:00",
    ),
    "an order that stays processing for an hour": Fault(slow, nothing, "The CA has not signed it yet.", None),
    "a certificate that does not match the request": Fault(
        spoilt, nothing, "The certificate does not match the request: it lacks n1.example.com"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_told_and_what_it_kept_from_being_renewed_is_renewed_without_help(
    world: Renewing, fault: Fault
):
    renewal = await world.renewing("n1", age_days=31)
    fault.begin(world)
    await world.pass_time(1200.0, step_s=10.0)
    if fault.alarm is None:
        (order,) = await world.orders(renewal)
        assert order.problem.message == fault.said
    else:
        (alarm,) = await alarms_of(world, fault.alarm)
        assert fault.said in alarm.details
    assert (await world.renewal(renewal)).certificate_id == renewal.certificate_id
    fault.end(world)
    await world.pass_time(DAY_S + HOUR_S)
    assert (await world.states(renewal))[-1] is OrderState.SERVED
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []
    assert (world.server.duplicates(), world.showing.placed) == (0, {})


def test_the_document_tells_of_each_of_these_faults():
    rows = [row.split(" | ")[0].removeprefix("| ") for row in DOCUMENT.read_text().splitlines()]
    assert set(FAULTS) <= set(rows)


async def test_a_ca_that_signs_is_not_said_to_have_taken_a_week_because_the_clock_was_set_forward(
    world: Renewing,
):
    renewal = await world.renewing("n1", days=100, age_days=67)
    world.server.processing_s = 10 * HOUR_S
    await world.pass_time(HOUR_S, step_s=60.0)
    assert await world.states(renewal) == [OrderState.FINALISED]
    (made,) = world.server.orders.values()
    made.ready_s += 30 * DAY_S
    world.now[0] += 30 * DAY_S
    asked = world.server.asked["look"]
    await world.pass_time(HOUR_S, step_s=60.0)
    assert world.server.asked["look"] - asked < 60
    (order,) = await world.orders(renewal)
    assert (order.state, order.steps[-1].message) == (
        OrderState.FINALISED,
        "The clock was set forward, or no manager was running; the wait for the CA starts again.",
    )
    assert (await world.renewal(renewal)).failures == 0
    await world.pass_time(10 * HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_a_wait_that_the_ca_asked_for_is_not_said_to_be_a_clock(world: Renewing):
    renewal = await world.renewing("n1", days=100, age_days=67)
    world.server.processing_s = 4 * DAY_S
    await world.pass_time(HOUR_S, step_s=60.0)
    assert await world.states(renewal) == [OrderState.FINALISED]
    world.server.to_fail.append(("look", CaError("the CA is being mended", retry_after_s=3 * DAY_S)))
    await world.pass_time(4.5 * DAY_S)
    (order,) = await world.orders(renewal)
    assert [each.message for each in order.steps if each.message] == ["the CA is being mended"]
    assert order.state is OrderState.SERVED


async def test_a_ca_that_does_not_sign_for_a_week_is_told_so(world: Renewing):
    renewal = await world.renewing("n1", days=100, age_days=67)
    world.server.processing_s = 30 * DAY_S
    await world.pass_time(7.5 * DAY_S, step_s=DAY_S)
    assert (
        await world.renewal(renewal)
    ).problem.message == "the CA has not signed the certificate for a week"
