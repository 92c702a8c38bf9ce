import asyncio
from collections import Counter

import pytest

from common.errors import ThrottledError
from manager.operations import turns as subject
from manager.operations.turns import PACE_S, PACED_FROM, WAITING_MAX, WAITING_PER_SOURCE_MAX, Turns
from tests.patience import PATIENCE_S


class Line:
    """People at the desk: each takes a turn, and keeps it until told."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.elapsed_s = 0.0
        self.turns = Turns(lambda source: self.failures[source], lambda: self.elapsed_s)
        self.served: list[str] = []
        self.refused: list[str] = []
        self.done = asyncio.Event()

    async def ask(self, source: str, *, known: bool = False, keep: bool = False) -> None:
        try:
            async with self.turns.take(source, known=known):
                self.served.append(source)
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


async def ask(line: Line, *sources: str, known: bool = False) -> None:
    for source in sources:
        line.group.create_task(line.ask(source, known=known))
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


async def test_a_source_that_fails_a_lot_gets_its_turns_at_a_pace_and_keeps_nobody_waiting(line: Line):
    line.failures["guesser"] = PACED_FROM
    await ask(line, "guesser", "guesser", "honest")
    assert await served(line, 2) == ["guesser", "honest"]
    assert line.turns.waiting == 1
    line.elapsed_s += PACE_S
    await line.ask("later")
    assert line.turns.waiting == 0
    assert sorted(line.served[3:]) == ["guesser", "later"]


async def test_one_source_fills_its_own_places_only(line: Line):
    await ask(line, *["flood"] * 100)
    await ask(line, "honest")
    assert line.turns.waiting == WAITING_PER_SOURCE_MAX + 1
    assert line.refused == ["flood"] * (100 - WAITING_PER_SOURCE_MAX)


async def test_where_too_many_wait_those_go_that_failed_most(line: Line):
    sources = [f"s{number}" for number in range(WAITING_MAX)]
    line.failures.update(dict.fromkeys(sources, 3))
    await ask(line, *sources, "honest")
    assert line.turns.waiting == WAITING_MAX
    await asyncio.sleep(0)
    assert line.refused == [sources[-1]]


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
    holder = line.group.create_task(line.turns.take("holder").__aenter__())
    holder.cancel()
    await asyncio.sleep(0)
    await line.ask("after")
    assert line.served[-1] == "after"
