"""Whatever fails, is killed or passes, and in whichever order: one need has one certificate, and one order at the CA that can be fulfilled."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manager.domain.renewal.records import OrderState
from manager.usecases.renewal.ports import CaError
from tests.fakes.ca_server import Killed
from tests.inplace import query_in_place
from tests.renewals import Renewing, make_renewing

ACTS = ("register", "order", "look", "authorization", "answer", "finalize", "download", "find_order")
LOSABLE = ("register", "order", "look", "answer", "finalize", "download")

passing = st.tuples(st.just("pass"), st.sampled_from([1.0, 30.0, 400.0, 4000.0, 30_000.0]))
killing = st.tuples(st.just("kill"), st.integers(1, 12))
losing = st.tuples(st.just("lose"), st.sampled_from(LOSABLE))
failing = st.tuples(st.just("fail"), st.sampled_from(ACTS))
hiding = st.tuples(st.just("hide"), st.booleans())
holding = st.tuples(st.just("hold"), st.booleans())
pausing = st.tuples(st.just("pause"), st.booleans())
happenings = st.lists(
    st.one_of(passing, passing, killing, losing, failing, hiding, holding, pausing), max_size=14
)


@given(happenings=happenings, lists=st.booleans(), processing_s=st.sampled_from([0.0, 500.0]))
@settings(settings.get_profile("repeatable"), max_examples=60)
async def test_one_need_has_one_order_and_one_certificate(happenings, lists, processing_s):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        query_in_place(patch)
        world = await make_renewing(Path(directory) / "data")
        try:
            world.server.lists_orders, world.server.processing_s = lists, processing_s
            await check(world, happenings)
        finally:
            await world.store.close()


async def check(world: Renewing, happenings: list[tuple[str, object]]) -> None:
    renewal = await world.renewing("n1", "n2", age_days=30)
    for what, how in happenings:
        await happen(world, renewal, what, how)
        assert world.server.duplicates() == 0
        assert len(await world.store.orders.unfinished()) <= 1
    world.server.killer = world.showing.killer = lambda _where: None
    world.server.to_lose.clear()
    world.server.to_fail.clear()
    world.showing.missing_at, world.fleet.is_held = (lambda _name: ""), (lambda _name: False)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(2 * 86400.0)
    assert len(world.server.issued) == 1
    assert (await world.states(renewal))[-1] is OrderState.SERVED
    assert (world.server.offences, world.showing.placed) == ([], {})


async def happen(world: Renewing, renewal, what: str, how) -> None:
    match what:
        case "pass":
            await world.pass_time(how, step_s=how)
        case "kill":
            world.server.killer = world.showing.killer = Countdown(how)
        case "lose":
            world.server.to_lose.append(how)
        case "fail":
            world.server.to_fail.append((how, CaError("the CA answered 500")))
        case "hide":
            world.showing.missing_at = lambda _name: "n2" if how else ""
        case "hold":
            world.fleet.is_held = lambda _name: how
        case _:
            await world.renewals.set_paused(renewal.id, paused=how, actor="ada")


class Countdown:
    """Kills the manager the nth time that it comes to a place."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, _where: str) -> None:
        self.count -= 1
        if self.count == 0:
            raise Killed
