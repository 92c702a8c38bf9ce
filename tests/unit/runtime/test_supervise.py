import asyncio

import pytest
import structlog

from common.errors import Reason, StorageError
from common.runtime.supervise import Supervisor, full_jitter
from tests.patience import PATIENCE_S


def test_a_wait_is_anything_up_to_the_doubled_base_and_never_above_the_cap():
    highest = [
        full_jitter(n, base_s=0.5, cap_s=10, uniform=lambda _low, high: high) for n in (0, 1, 2, 3, 9, 10_000)
    ]
    assert highest == [0.5, 1, 2, 4, 10, 10]
    assert full_jitter(3, base_s=1, cap_s=10, uniform=lambda low, _high: low) == 0


@pytest.fixture
def no_wait(monkeypatch):
    monkeypatch.setattr("common.runtime.supervise.full_jitter", lambda *_args, **_kwargs: 0)


async def test_a_loop_that_fails_is_started_again(no_wait):
    turns, done, before = [], asyncio.Event(), Supervisor.failures

    async def loop() -> None:
        turns.append(1)
        if len(turns) < 3:
            raise ValueError("once more")
        done.set()
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.keep("loop", loop)
            async with asyncio.timeout(PATIENCE_S):
                await done.wait()
    assert [line["event"] for line in lines] == ["task.failed", "task.failed"]
    assert Supervisor.failures - before == 2


async def test_a_store_that_is_away_is_told_in_its_own_sentence_without_a_trace(no_wait):
    turns, done = [], asyncio.Event()

    async def away() -> None:
        turns.append(1)
        if len(turns) < 2:
            raise StorageError("the server is down", reason=Reason.UNREACHABLE)
        done.set()
        await asyncio.Event().wait()

    async def job() -> None:
        raise StorageError("the disk is full", reason=Reason.NO_SPACE)

    with structlog.testing.capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.run("job", job())
            supervisor.keep("loop", away)
            async with asyncio.timeout(PATIENCE_S):
                await done.wait()
    assert sorted(lines, key=lambda line: line["task"]) == [
        {"event": "task.failed", "log_level": "error", "task": task, "reason": reason, "message": message}
        for task, reason, message in (
            ("job", Reason.NO_SPACE, "the disk is full"),
            ("loop", Reason.UNREACHABLE, "the server is down"),
        )
    ]


async def test_a_job_that_fails_is_told_and_harms_nothing_else(no_wait):
    other = asyncio.Event()

    async def job() -> None:
        raise ValueError("broken")

    async def loop() -> None:
        other.set()
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.run("job", job())
            supervisor.keep("loop", loop)
            async with asyncio.timeout(PATIENCE_S):
                await other.wait()
    assert [line["task"] for line in lines] == ["job"]


async def test_everything_has_ended_when_the_block_is_left():
    ended = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async with Supervisor() as supervisor:
        supervisor.keep("one", loop)
        supervisor.run("two", loop())
        await asyncio.sleep(0)
    assert ended == [1, 1]


async def fails_inside() -> None:
    async with Supervisor() as supervisor:
        supervisor.keep("loop", asyncio.Event().wait)
        raise KeyError("mine")


async def test_an_error_in_the_block_comes_out_as_it_is():
    with pytest.raises(KeyError):
        await fails_inside()
