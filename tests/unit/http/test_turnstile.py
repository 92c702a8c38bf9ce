"""The pace of requests, and who of those that wait is next."""

import asyncio
from unittest.mock import patch

import pytest

from manager.http.turnstile import Pace, Turnstile
from tests.patience import PATIENCE_S

SLOW = Pace(burst=2.0, per_s=0.001, each_burst=1.0, each_per_s=0.001)
ONE_EACH = Pace(burst=100.0, per_s=100.0, each_burst=1.0, each_per_s=0.001)


def let_in(*turns: asyncio.Future[bool]) -> list[bool]:
    return [turn.done() and turn.result() for turn in turns]


async def test_who_is_within_the_pace_does_not_wait():
    turnstile = Turnstile(Pace(burst=10.0, per_s=1.0, each_burst=10.0, each_per_s=1.0))
    assert all(let_in(*(turnstile.ask("a") for _ in range(10))))
    assert turnstile.waiting == 0


async def test_one_owner_waits_for_its_own_pace_and_another_does_not():
    turnstile = Turnstile(ONE_EACH)
    turns = [turnstile.ask("a") for _ in range(50)]
    assert sum(let_in(*turns)) <= 2
    assert let_in(turnstile.ask("b")) == [True]


async def test_a_heavy_request_counts_for_several():
    turnstile = Turnstile(Pace(burst=100.0, per_s=100.0, each_burst=4.0, each_per_s=0.001))
    assert let_in(turnstile.ask("a", weight=5.0), turnstile.ask("a")) == [True, False]


async def test_who_has_waited_for_longest_is_next_whoever_asks_most():
    clock = 0.0
    with patch("manager.http.turnstile.time.monotonic", lambda: clock):
        turnstile = Turnstile(Pace(burst=1.0, per_s=1.0, each_burst=100.0, each_per_s=100.0))
        many = [turnstile.ask("many") for _ in range(10)]
        few = turnstile.ask("few")
        before = sum(let_in(*many))
        clock = 1.0
        turnstile._give_turns()
        clock = 2.0
        turnstile._give_turns()
        assert let_in(few) == [True]
        assert sum(let_in(*many)) <= before + 2


async def test_a_connection_that_is_new_goes_before_those_that_ask_again():
    clock = 0.0
    with patch("manager.http.turnstile.time.monotonic", lambda: clock):
        turnstile = Turnstile(Pace(burst=1.0, per_s=1.0, each_burst=1.0, each_per_s=1.0))
        again = [turnstile.ask("a") for _ in range(10)]
        new = turnstile.ask("a", is_first=True)
        before = sum(let_in(*again))
        clock = 1.0
        turnstile._give_turns()
        assert let_in(new) == [True]
        assert sum(let_in(*again)) == before


async def test_whoever_waits_is_let_in_by_the_clock():
    turnstile = Turnstile(Pace(burst=1.0, per_s=200.0, each_burst=1.0, each_per_s=200.0))
    async with asyncio.timeout(PATIENCE_S):
        assert all(await asyncio.gather(*(turnstile.ask("a") for _ in range(20))))
    assert turnstile.waiting == 0


@pytest.mark.parametrize("is_first", [False, True])
async def test_who_leaves_takes_no_turn(is_first: bool):
    turnstile = Turnstile(SLOW)
    for owner in "abcd":
        turnstile.ask(owner)
    before = turnstile.waiting
    turn = turnstile.ask("e", is_first=is_first)
    assert turnstile.waiting == before + 1
    turnstile.leave("e", turn)
    assert turn.result() is False
    assert turnstile.waiting == before


async def test_only_so_many_are_at_work_at_once():
    turnstile = Turnstile(Pace(burst=100.0, per_s=100.0, each_burst=100.0, each_per_s=100.0), at_once=2)
    turns = [turnstile.ask(f"stranger {number}") for number in range(5)]
    assert let_in(*turns) == [True, True, False, False, False]
    turnstile.leave("stranger 2", turns[2])
    turnstile.end()
    assert let_in(*turns) == [True, True, False, True, False]
