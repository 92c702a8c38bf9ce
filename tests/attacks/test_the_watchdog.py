"""The watchdog of the event loop itself: it barks at what keeps the loop, and at nothing else."""

import asyncio
import os
import threading
import time
from collections.abc import Callable

import pytest

from tests.attacks.watchdog import LIMIT_S, Watchdog, watching

LONG_S = 20 * LIMIT_S


def sleep() -> None:
    time.sleep(LONG_S)


def wait_for_a_lock() -> None:
    threading.Event().wait(LONG_S)


def read_what_does_not_come() -> None:
    reading, writing = os.pipe()
    late = threading.Timer(LONG_S, os.write, (writing, b"x"))
    late.start()
    os.read(reading, 1)
    late.join()
    os.close(reading)
    os.close(writing)


def compute() -> None:
    until_s = time.thread_time() + 2 * LIMIT_S
    while time.thread_time() < until_s:
        pass


async def handler(work: Callable[[], None]) -> None:
    work()


async def watched(work: Callable[[], None]) -> Watchdog:
    with watching() as watchdog:
        watchdog.doing = work.__name__
        async with asyncio.TaskGroup() as group:
            group.create_task(handler(work))
    return watchdog


@pytest.mark.parametrize("work", [sleep, wait_for_a_lock, read_what_does_not_come])
async def test_a_handler_that_waits_is_seen(work: Callable[[], None]):
    watchdog = await watched(work)
    print(watchdog.too_slow())
    assert len(watchdog.stopped) == 1
    assert watchdog.doing in watchdog.stopped[0]


async def test_a_handler_that_computes_is_seen():
    watchdog = await watched(compute)
    assert len(watchdog.too_slow()) == 1
    assert watchdog.stopped == []


async def test_waiting_for_the_interpreter_or_for_a_core_is_no_fault_of_the_handler():
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            sum(range(1000))

    def little() -> None:
        for _ in range(20):
            # each gives up the interpreter's lock, and waits to have it again
            os.sched_yield()

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        watchdog = await watched(little)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert watchdog.too_slow() == []


async def test_waiting_until_a_new_thread_has_a_core_is_no_fault_of_the_handler(monkeypatch):
    first_step = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def late(thread: threading.Thread) -> None:
        time.sleep(LONG_S)
        first_step(thread)

    def start_a_thread() -> None:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    # the watchdog's own thread is not held up
    with watching() as watchdog:
        monkeypatch.setattr(threading.Thread, "_bootstrap_inner", late)
        async with asyncio.TaskGroup() as group:
            group.create_task(handler(start_a_thread))
    assert watchdog.too_slow() == []


async def test_what_is_awaited_or_done_aside_keeps_nothing():
    with watching() as watchdog:
        await asyncio.to_thread(time.sleep, 4 * LIMIT_S)
    assert watchdog.too_slow() == []
