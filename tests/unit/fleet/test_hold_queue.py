"""Greetings are answered once the store says whose the session is: together, in time, and never twice."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.members import HoldRequest
from manager.fleet.hold_queue import AGAIN_S, BATCH, WELCOME_S, HoldQueue
from manager.store.holds import EndedSession


class Holds:
    """Numbers rise; the first `failures` calls fail."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.number = 0
        self.taken: list[list[str]] = []
        self.released: list[dict[str, int]] = []
        self.before_return = lambda: None

    def _try(self) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise StorageError("the server is down")

    async def take(self, requests: Sequence[HoldRequest]) -> Mapping[NodeName, SimpleNamespace]:
        self._try()
        await asyncio.sleep(0)
        self.taken.append([each.node for each in requests])
        self.number += 1
        self.before_return()
        return {each.node: SimpleNamespace(number=self.number) for each in requests if each.node != "gone"}

    async def release(self, sessions: Mapping[NodeName, EndedSession]) -> None:
        self._try()
        self.released.append({name: each.number for name, each in sessions.items()})


class Asked:
    """A connection that has greeted, and the answer."""

    def __init__(self, queue: HoldQueue, name: str) -> None:
        self.is_open = True
        self.answers: list[object] = []
        self.turned_away: list[tuple[str, float]] = []
        wanted = HoldRequest(
            node=NodeName(name), node_id=1, address="", agent_version="", instance="", displaces=False
        )
        queue.request(wanted, self, lambda held, _: self.answers.append(held and held.number))

    def turn_away(self, verdict: str, *, retry_after_s: float, message: str) -> None:
        self.turned_away.append((verdict, retry_after_s))
        self.is_open = False


def queue_over(holds: Holds, *reporting: str, is_member: Callable[[], bool] = lambda: True) -> HoldQueue:
    return HoldQueue(
        holds,
        changes_meanwhile=lambda: nullcontext(()),
        is_member=is_member,
        is_reporting=lambda name: name in reporting,
        clock=lambda: 0.0,
    )


async def test_greetings_that_wait_together_share_a_transaction():
    holds = Holds()
    queue = queue_over(holds)
    asked = [Asked(queue, f"n{number}") for number in range(BATCH + 1)]
    assert await queue.flush()
    assert [len(each) for each in holds.taken] == [BATCH]
    assert asked[-1].answers == []
    assert await queue.flush()
    assert [len(each) for each in holds.taken] == [BATCH, 1]
    assert [each.answers for each in asked] == [[1]] * BATCH + [[2]]


async def test_a_node_that_there_is_no_more_is_told_so():
    holds = Holds()
    queue = queue_over(holds)
    asked = Asked(queue, "gone")
    assert await queue.flush()
    assert asked.answers == [None]
    assert await queue.flush()
    assert holds.released == []


async def test_a_greeting_waits_for_a_store_that_fails_and_is_answered_when_it_is_back():
    holds = Holds(failures=2)
    queue = queue_over(holds)
    asked = Asked(queue, "n1")
    assert [await queue.flush(), await queue.flush()] == [False, False]
    assert (asked.answers, asked.turned_away, queue.failures) == ([], [], 2)
    assert await queue.flush()
    assert asked.answers == [1]


async def test_a_greeting_waits_for_a_manager_that_is_not_a_member_and_is_answered_once_it_is_one():
    holds, is_member = Holds(), False
    queue = queue_over(holds, is_member=lambda: is_member)
    asked = Asked(queue, "n1")
    assert not await queue.flush()
    assert (holds.taken, asked.answers, asked.turned_away) == ([], [], [])
    is_member = True
    assert await queue.flush()
    assert asked.answers == [1]


async def test_who_was_turned_away_meanwhile_is_not_kept_until_the_manager_is_a_member():
    queue = queue_over(Holds(), is_member=lambda: False)
    asked = Asked(queue, "n1")
    queue.sweep(float("inf"))
    assert not await queue.flush()
    assert asked.turned_away == [("wait", AGAIN_S)]
    assert not queue.is_requested(NodeName("n1"))


async def test_a_greeting_that_waits_for_too_long_is_told_when_to_come_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("manager.fleet.hold_queue.time", SimpleNamespace(monotonic=lambda: now[0]))
    holds = Holds(failures=1)
    queue = queue_over(holds)
    asked = Asked(queue, "n1")
    assert not await queue.flush()
    queue.sweep(now[0] + WELCOME_S - 0.1)
    assert asked.turned_away == []
    queue.sweep(now[0] + WELCOME_S)
    assert asked.turned_away == [("wait", AGAIN_S)]
    assert await queue.flush()
    assert (holds.taken, asked.answers) == ([], [])


async def test_who_is_turned_away_while_the_store_works_gives_the_session_up():
    holds = Holds()
    queue = queue_over(holds)
    asked = Asked(queue, "n1")
    holds.before_return = lambda: queue.sweep(float("inf"))
    assert await queue.flush()
    assert (asked.answers, asked.turned_away) == ([], [("wait", AGAIN_S)])
    assert await queue.flush()
    assert holds.released == [{"n1": 1}]


async def test_a_connection_that_ended_does_not_give_up_the_session_of_the_one_that_took_its_place():
    holds = Holds()
    queue = queue_over(holds)
    old, new = Asked(queue, "n1"), Asked(queue, "n1")

    def end() -> None:
        old.is_open = False

    holds.before_return = end
    assert await queue.flush()
    assert (old.answers, new.answers) == ([], [1])
    assert await queue.flush()
    assert holds.released == []


async def test_of_several_sessions_of_a_node_that_ended_the_last_is_given_up():
    holds = Holds()
    queue = queue_over(holds)
    for number in (4, 7, 5):
        queue.release(NodeName("n1"), number, last_report_s=0.0)
    assert await queue.flush()
    assert holds.released == [{"n1": 7}]


async def test_a_session_is_given_up_only_once_what_was_said_in_it_is_kept():
    holds = Holds()
    queue = queue_over(holds, "busy")
    queue.release(NodeName("busy"), 1, last_report_s=0.0)
    queue.release(NodeName("idle"), 2, last_report_s=0.0)
    assert await queue.flush()
    assert holds.released == [{"idle": 2}]


@pytest.mark.parametrize("failures", [1, 3])
async def test_a_session_is_given_up_although_the_store_fails_first(failures):
    holds = Holds(failures=failures)
    queue = queue_over(holds)
    queue.release(NodeName("n1"), 3, last_report_s=0.0)
    for _ in range(failures):
        assert not await queue.flush()
    assert await queue.flush()
    assert holds.released == [{"n1": 3}]
