import asyncio
from collections import Counter

import pytest

from common.errors import ThrottledError
from manager.usecases import turns as subject
from manager.usecases.throttle import Throttle
from manager.usecases.turns import (
    CROWD,
    PACE_S,
    PACED_FROM,
    WAITING_MAX,
    WAITING_PER_USER_MAX,
    Claim,
    HashingQueue,
    Turn,
)
from tests.patience import PATIENCE_S
from tests.unit.usecases.conftest import World


class Line:
    """People at the desk: each takes a turn, and keeps it until told."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.elapsed_s = 0.0
        self.turns = HashingQueue(
            lambda source: (self.failures[source],),
            lambda source: self.failures[source],
            lambda: self.elapsed_s,
        )
        self.served: list[str] = []
        self.pretended: list[str] = []
        self.refused: list[str] = []
        self.done = asyncio.Event()

    async def ask(
        self, source: str, *, user: str = "", known: bool = False, keep: bool = False, hopeless: bool = False
    ) -> None:
        claim = Claim(user=user, source=source, is_known=known, is_hopeless=hopeless)
        try:
            async with self.turns.take(claim) as turn:
                (self.served if turn is Turn.WORK else self.pretended).append(source)
                if keep:
                    await self.done.wait()
        except ThrottledError:
            self.refused.append(source)


@pytest.fixture
async def line():
    made = Line()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(made.ask("first", keep=True))
        await asyncio.sleep(0)
        made.group = group
        yield made
        made.done.set()


async def ask(line: Line, *sources: str, user: str = "", known: bool = False, hopeless: bool = False) -> None:
    for source in sources:
        line.group.create_task(line.ask(source, user=user, known=known, hopeless=hopeless))
    await asyncio.sleep(0)


async def served(line: Line, count: int) -> list[str]:
    line.done.set()
    while len(line.served) <= count:  # noqa: ASYNC110 - the fixture has the deadline
        await asyncio.sleep(0)
    return line.served[1:]


async def test_one_turn_at_a_time(line: Line):
    await ask(line, "a", "b")
    assert line.served == ["first"]
    assert line.turns.waiting == 2


async def test_who_failed_less_goes_first_and_every_other_turn_is_of_who_waited_longest(line: Line):
    line.failures["guesser"] = 5
    await ask(line, "guesser", "guesser", "guesser", "honest", "other")
    assert await served(line, 5) == ["guesser", "honest", "guesser", "other", "guesser"]


async def test_a_known_device_goes_before_everybody(line: Line):
    await ask(line, "a", "b", "c")
    await ask(line, "device", known=True)
    assert (await served(line, 4))[0] == "device"


async def test_from_a_source_that_fails_a_lot_what_cannot_succeed_is_hashed_at_a_pace(line: Line):
    line.failures["guesser"] = PACED_FROM
    await ask(line, "guesser", "guesser", hopeless=True)
    await ask(line, "guesser", "guesser")
    assert await served(line, 3) == ["guesser"] * 3
    assert line.pretended == ["guesser"]
    line.elapsed_s += PACE_S
    await line.ask("guesser", hopeless=True)
    await line.ask("guesser", hopeless=True)
    assert (len(line.served), len(line.pretended)) == (5, 2)


async def test_in_a_crowd_what_cannot_succeed_waits_for_its_turn_and_keeps_nobody_waiting(line: Line):
    await ask(line, *["flood"] * 100, user="invented", hopeless=True)
    for number in range(100):
        await ask(line, f"flood{number}", user=f"invented{number}", hopeless=True)
    await ask(line, "honest")
    assert (line.served, line.pretended) == (["first"], [])
    assert "honest" in await served(line, CROWD)
    assert (line.turns.waiting, len(line.served)) == (0, 1 + CROWD)
    assert len(line.pretended) == 100 + WAITING_PER_USER_MAX + 1 - CROWD


async def test_passing_over_a_crowd_looks_at_each_of_it_once(line: Line):
    for number in range(WAITING_MAX):
        await ask(line, f"flood{number}", user=f"invented{number}", hopeless=True)
    looked_at = Counter[str]()
    priority_of = line.turns._priority_of

    def counted(source: str) -> tuple[int, ...]:
        looked_at[source] += 1
        return priority_of(source)

    line.turns._priority_of = counted
    line.done.set()
    await served(line, 1)
    assert len(line.pretended) == WAITING_MAX - CROWD
    assert sum(looked_at.values()) < 2 * WAITING_MAX


async def test_one_user_at_one_source_fills_its_own_places_only(line: Line):
    await ask(line, *["flood"] * 100)
    await ask(line, "flood", user="honest")
    assert line.turns.waiting == WAITING_PER_USER_MAX + 1
    assert line.refused == ["flood"] * (100 - WAITING_PER_USER_MAX)


async def test_where_too_many_wait_those_go_that_failed_most(line: Line):
    sources = [f"s{number}" for number in range(WAITING_MAX)]
    line.failures.update(dict.fromkeys(sources, 3))
    await ask(line, *sources, "honest")
    assert line.turns.waiting == WAITING_MAX
    await asyncio.sleep(0)
    assert len(line.refused) == 1
    assert line.refused != ["honest"]


async def test_where_too_many_wait_that_are_alike_it_is_not_always_the_newest_who_goes(line: Line):
    old = [f"old{number}" for number in range(WAITING_MAX)]
    new = [f"new{number}" for number in range(WAITING_MAX)]
    await ask(line, *old, *new)
    await asyncio.sleep(0)
    assert len(line.refused) == WAITING_MAX
    assert set(line.refused) & set(old)
    assert set(line.refused) & set(new)


async def test_a_turn_that_does_not_come_is_given_up_in_time_and_keeps_nobody(line: Line, monkeypatch):
    monkeypatch.setattr(subject, "WAIT_S", 0.01)
    await line.ask("late")
    assert (line.refused, line.turns.waiting) == (["late"], 0)
    await ask(line, "next")
    assert await served(line, 1) == ["next"]


async def test_who_leaves_while_waiting_or_with_the_turn_gives_it_back(line: Line):
    leaving = line.group.create_task(line.ask("leaving", keep=True))
    await ask(line, "next")
    leaving.cancel()
    assert await served(line, 1) == ["next"]
    holder = line.group.create_task(line.turns.take(Claim(user="", source="holder")).__aenter__())
    holder.cancel()
    await asyncio.sleep(0)
    await line.ask("after")
    assert line.served[-1] == "after"


async def test_guesses_at_a_user_from_new_addresses_keep_a_first_sign_in_waiting_for_few_turns(world: World):
    throttle = Throttle(lambda: 0.0, world.store.tallies)
    turns = HashingQueue(throttle.priority_of, throttle.failures_of, lambda: 0.0)
    served: list[str] = []

    async def ask(source: str) -> None:
        async with turns.take(Claim(user="ada", source=source)):
            await asyncio.sleep(0)
            served.append(source)
            throttle.failed("ada", source)

    sources = [f"198.18.{number // 250 + 1}.{number % 250 + 1}" for number in range(WAITING_MAX - 1)]
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*map(ask, [*sources, "203.0.113.1"]))
    assert served.index("203.0.113.1") <= 2
