"""A store that keeps nothing: no CA is asked, and nothing is shown, again and again for what cannot be kept."""

import asyncio
from itertools import pairwise
from typing import Any, NoReturn

import pytest

from common.errors import StorageError
from manager.domain.renewal.records import OrderState
from manager.store.orders import Orders
from manager.store.renewals import Renewals
from manager.usecases.renewal.fault_isolation import STORE_RESTS_S
from tests.renewals import Renewing


async def full(*_: object, **__: object) -> NoReturn:
    raise StorageError("the disk is full")


async def test_a_ca_is_asked_for_no_order_that_cannot_be_kept(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    with monkeypatch.context() as patch:
        patch.setattr(Orders, "keep", full)
        await world.pass_time(60, step_s=0.5, least_s=0.5)
    assert await world.states(renewal) == [OrderState.CREATED]
    assert world.server.asked["order"] == 0
    await world.pass_time(STORE_RESTS_S[-1], step_s=5)
    assert await world.states(renewal) == [OrderState.SERVED]


@pytest.mark.parametrize("asked", ["order", "finalize", "suggested"])
async def test_what_a_ca_has_done_and_the_store_does_not_keep_is_asked_for_seldom(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, asked: str
):
    renewal = await world.renewing("n1", age_days=1 if asked == "suggested" else 40)
    # with a CA that gives no pending order back
    monkeypatch.setattr("tests.fakes.ca.ModelCa.find_order", none_found)
    room = Renewals if asked == "suggested" else Orders
    keep = room.keep

    async def full_once_asked(store: Any, record: Any) -> None:
        if world.server.asked[asked] and is_full:
            raise StorageError("the disk is full")
        await keep(store, record)

    is_full = True
    monkeypatch.setattr(room, "keep", full_once_asked)
    await world.pass_time(300, step_s=0.5, least_s=0.5)
    assert world.server.asked[asked] == 1
    is_full = False
    await world.pass_time(STORE_RESTS_S[-1] + 60, step_s=5)
    assert (await world.states(renewal) == [OrderState.SERVED]) is (asked != "suggested")
    assert (await world.renewal(renewal)).window_of is not None


async def none_found(*_: object, **__: object) -> None:
    await asyncio.sleep(0)


async def test_proofs_are_not_shown_anew_while_the_store_keeps_nothing(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    await world.renewing("n1", age_days=40)
    placed: list[object] = []
    place, keep = world.showing.place, Orders.keep

    async def counted(*args: Any, **kwargs: Any) -> None:
        placed.append(args)
        await place(*args, **kwargs)

    async def full_once_placed(store: Orders, record: Any) -> None:
        if placed:
            raise StorageError("the disk is full")
        await keep(store, record)

    monkeypatch.setattr(world.showing, "place", counted)
    monkeypatch.setattr(Orders, "keep", full_once_placed)
    await world.pass_time(300, step_s=0.5, least_s=0.5)
    assert len(placed) == 1


async def test_an_attempt_that_the_store_does_not_keep_rests_ever_longer_up_to_a_minute(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    await world.renewing("n1", age_days=40)
    tries: list[float] = []

    async def noted(*_: object, **__: object) -> NoReturn:
        tries.append(world.now[0])
        raise StorageError("the disk is full")

    monkeypatch.setattr(Orders, "add", noted)
    await world.pass_time(200, step_s=0.5, least_s=0.5)
    rests = [after - before for before, after in pairwise(tries)]
    assert rests == [*STORE_RESTS_S, STORE_RESTS_S[-1]]
