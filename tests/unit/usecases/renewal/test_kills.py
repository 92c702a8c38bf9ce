"""A manager that is killed anywhere in an order goes on with that order, and never begins a second one for the same need."""

import pytest

from manager.domain.renewal.records import OrderState
from tests.fakes.ca_server import Killed
from tests.pki import DAY_S
from tests.renewals import Renewing

PLACES = [
    *(
        f"{when} {act}"
        for act in ("register", "order", "look", "answer", "finalize", "download")
        for when in ("before", "after")
    ),
    "before find_order",
    "before authorization",
    "before suggested",
    *(f"{when} {act}" for act in ("place", "remove") for when in ("before", "after")),
]


class KillOnce:
    """Kills the manager when it comes to a place for the first time."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.was_there = False

    def __call__(self, place: str) -> None:
        if place == self.place and not self.was_there:
            self.was_there = True
            raise Killed


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("lists", [False, True])
async def test_killed_at_the_ca_or_where_proofs_are_shown(world: Renewing, place: str, lists: bool):
    renewal = await world.renewing("n1", "n2", age_days=40)
    world.server.lists_orders = lists
    killer = world.server.killer = world.showing.killer = KillOnce(place)
    await world.pass_time(DAY_S / 2)
    assert killer.was_there
    assert world.kills == 1
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (len(world.server.orders), len(world.server.issued)) == (1, 1)
    assert (world.server.duplicates(), world.server.offences, world.showing.placed) == (0, [], {})


@pytest.mark.parametrize("nth", range(10))
@pytest.mark.parametrize("kept", [False, True])
async def test_killed_before_or_after_a_step_is_kept(
    world: Renewing, nth: int, kept: bool, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", "n2", age_days=40)
    keep, count = world.store.orders.keep, [0]

    async def keeping(record: object) -> None:
        await keep(record)
        count[0] += 1
        if count[0] == nth + 1 and not kept:
            raise Killed
        if count[0] == nth + 1:
            world.store.after_commit(_die)

    monkeypatch.setattr(world.store.orders, "keep", keeping)
    await world.pass_time(DAY_S / 2)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (len(world.server.orders), len(world.server.issued)) == (1, 1)
    assert world.kills == (1 if count[0] > nth else 0)


def _die() -> None:
    raise Killed
