"""Attacks by users who together watch so much that others cannot: streams of events are shared."""

import asyncio

import aiohttp
import pytest

from common.api.codes import Role
from common.errors import OverloadedError
from manager.domain.model import UserRecord
from manager.http import streams as subject
from manager.http.streams import STREAMS_MAX, STREAMS_PER_USER, Streams
from tests.patience import PATIENCE_S


class Watching:
    """A request whose connection stands."""

    transport = object()


def user(name: str, role: Role = Role.OPERATOR) -> UserRecord:
    return UserRecord(id=1, name=name, role=role, created_s=0.0)


class Watchers:
    """Holds streams, each in a task of its own, as requests do."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.streams = Streams()
        self.held: list[str] = []
        self._group = group

    async def watch(self, who: UserRecord) -> bool:
        """Return whether a stream began."""
        began: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._group.create_task(self._keep(who, began))
        return await began

    async def _keep(self, who: UserRecord, began: "asyncio.Future[bool]") -> None:
        try:
            async with self.streams.keep(who, Watching()):
                self.held.append(who.name)
                began.set_result(True)
                try:
                    await asyncio.Event().wait()
                finally:
                    self.held.remove(who.name)
        except OverloadedError:
            began.set_result(False)


@pytest.fixture
async def watchers():
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        made = Watchers(group)
        yield made
        await made.streams.end(aiohttp.web.Application())


async def test_five_users_with_all_that_each_may_have_leave_streams_for_the_sixth(watchers: Watchers):
    greedy = [user(f"u{number}") for number in range(STREAMS_MAX // STREAMS_PER_USER)]
    for who in greedy:
        for _ in range(STREAMS_PER_USER):
            assert await watchers.watch(who)
        assert not await watchers.watch(who)
    assert len(watchers.held) == STREAMS_MAX
    fair = STREAMS_MAX // (len(greedy) + 1)
    got = 0
    while await watchers.watch(user("sixth", Role.READ_ONLY)):
        got += 1
    await asyncio.sleep(0)
    print(f"the sixth has {got} streams of {STREAMS_MAX}, each of the others at least {fair - 1}")
    assert got >= fair
    assert len(watchers.held) == STREAMS_MAX
    assert min(watchers.held.count(who.name) for who in greedy) >= fair - 1
    # who lost one does not take it back, so nobody takes turns
    assert not await watchers.watch(greedy[0])


async def test_an_administrator_watches_though_everybody_else_does(watchers: Watchers):
    for number in range(STREAMS_MAX):
        assert await watchers.watch(user(f"u{number}"))
    assert not await watchers.watch(user("another"))
    assert await watchers.watch(user("root", Role.ADMINISTRATOR))
    assert not await watchers.watch(user("root", Role.ADMINISTRATOR))
    await asyncio.sleep(0)
    assert len(watchers.held) == STREAMS_MAX


async def test_the_oldest_stream_of_who_has_most_is_the_one_that_ends(watchers: Watchers, monkeypatch):
    monkeypatch.setattr(subject, "STREAMS_MAX", 3)
    for name in ("a", "b", "b"):
        assert await watchers.watch(user(name))
    assert await watchers.watch(user("c"))
    await asyncio.sleep(0)
    assert sorted(watchers.held) == ["a", "b", "c"]
