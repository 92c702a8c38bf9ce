import asyncio
from contextlib import AsyncExitStack

import pytest

from common.errors import OverloadedError
from manager.http.queueing import DutyCycle, FairQueue, Limit
from tests.patience import PATIENCE_S


def queue(**more: float) -> FairQueue:
    kept = {"in_all": 3, "each": 2, "waiting_in_all": 4, "waiting_each": 2, "wait_s": PATIENCE_S, **more}
    return FairQueue(Limit(what="things", **kept))


async def test_one_owner_has_its_share_and_no_more():
    lent = queue(wait_s=0)
    async with lent.take("a"), lent.take("a"), lent.take("b"):
        assert lent.taken == 3
        with pytest.raises(OverloadedError) as caught:
            async with lent.take("a"):
                pass
        assert caught.value.own
        with pytest.raises(OverloadedError) as caught:
            async with lent.take("c"):
                pass
        assert not caught.value.own
    assert (lent.taken, lent.waiting) == (0, 0)


async def test_who_waits_is_served_in_order_but_not_kept_by_one_who_has_its_share():
    lent, order = queue(), []

    async def use(owner: str) -> None:
        async with lent.take(owner):
            order.append(owner)

    async with asyncio.TaskGroup() as group, AsyncExitStack() as held:
        for owner in ("a", "a"):
            await held.enter_async_context(lent.take(owner))
        for owner in ("a", "b", "c"):
            group.create_task(use(owner))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "a" not in order
    assert order == ["b", "c", "a"]


async def test_who_wants_much_is_not_overtaken_for_ever():
    lent, order = queue(in_all=10, each=10), []

    async def use(owner: str, amount: int) -> None:
        async with lent.take(owner, amount):
            order.append(owner)

    async with asyncio.TaskGroup() as group, lent.take("first", 5):
        group.create_task(use("large", 10))
        await asyncio.sleep(0)
        group.create_task(use("small", 1))
        await asyncio.sleep(0)
        assert order == []
    assert order == ["large", "small"]


async def test_more_than_may_wait_are_refused_at_once():
    lent = queue()
    async with asyncio.TaskGroup() as group, lent.take("a"), lent.take("a"):
        waiting = [group.create_task(anext(aiter_of(lent, "a"))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as caught:
            async with lent.take("a"):
                pass
        assert (caught.value.own, caught.value.retry_after_s) == (True, PATIENCE_S)
        for each in waiting:
            each.cancel()
    assert (lent.taken, lent.waiting) == (0, 0)


async def aiter_of(lent: FairQueue, owner: str):
    async with lent.take(owner):
        yield


async def test_who_gives_up_in_the_moment_of_the_grant_leaves_nothing_behind():
    lent = queue(in_all=1)

    async def use() -> None:
        async with lent.take("b"):
            pytest.fail("it was cancelled")

    async with asyncio.TaskGroup() as group:
        async with lent.take("a"):
            waiting = group.create_task(use())
            await asyncio.sleep(0)
        waiting.cancel()
    assert (lent.taken, lent.waiting) == (0, 0)


async def test_who_used_it_much_rests_and_keeps_nobody_else_waiting(monkeypatch):
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now_s)
    limit = Limit(what="things", in_all=1, each=1, waiting_in_all=9, waiting_each=9, wait_s=PATIENCE_S * 1000)
    lent = FairQueue(limit, DutyCycle(burst_s=2.0, share=0.25, rest_max_s=9.5))

    async def use(owner: str, seconds: float, *, rests: bool = True) -> None:
        nonlocal now_s
        async with lent.take(owner, rests=rests):
            now_s += seconds

    await use("writer", 60.0, rests=False)
    await use("writer", 60.0, rests=False)
    await use("few", 2.0)
    await use("few", 0.0)
    began_s = now_s
    await use("much", 3.0)
    again = loop.create_task(use("much", 0.0))
    await asyncio.sleep(0)
    await use("else", 0.0)
    assert (lent.waiting, lent.taken) == (1, 0)
    # three seconds are a quarter of twelve
    now_s = began_s + 3.0 + 8.9
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not again.done()
    now_s = began_s + 3.0 + 9.1
    async with asyncio.timeout_at(now_s + PATIENCE_S):
        await again
    assert lent.waiting == 0
    began_s = now_s
    await use("much", 1000.0)
    again = loop.create_task(use("much", 0.0))
    await asyncio.sleep(0)
    now_s = began_s + 1000.0 + 9.6
    async with asyncio.timeout_at(now_s + PATIENCE_S):
        await again
