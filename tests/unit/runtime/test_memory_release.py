import gc
import subprocess
import sys

import pytest

from common.runtime import memory_release
from tests.patience import PATIENCE_S

SCATTERED = """
from pathlib import Path
from common.runtime.memory_release import trim
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
held = [bytes(5000) for _ in range(40_000)]
held = held[::1000]
before = pages()
trim()
print(before, pages())
"""


@pytest.mark.parametrize(
    ("rest_s", "counts", "given"),
    [
        (0.0, [100, 100, 90, 100 - memory_release.GONE, 60, 60, 60], [100 - memory_release.GONE]),
        (0.0, [100, 40, 40, 5, 5], [40, 5]),
        (60.0, [100, 40, 40, 5, 5], [40]),  # not again at once, whatever an attacker lets come and go
    ],
)
async def test_memory_is_given_back_once_many_connections_are_gone_and_only_then(
    monkeypatch: pytest.MonkeyPatch, rest_s: float, counts: list[int], given: list[int]
):
    monkeypatch.setattr(memory_release, "REST_S", rest_s)
    remaining = iter(counts)
    trims: list[int] = []
    seen: list[int] = []
    monkeypatch.setattr(memory_release, "MEMORY_CHECK_S", 0.0)
    monkeypatch.setattr(memory_release, "trim", lambda: trims.append(seen[-1]))

    def connections() -> int:
        seen.append(next(remaining))
        return seen[-1]

    with pytest.raises(RuntimeError, match="StopIteration"):
        await memory_release.give_back(connections)
    assert trims == given


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("taken_mib", "trimmed", "collected"),
    [
        # each 4 MiB more, counted from the least since the last time; 16 MiB more in all that stay are a collection, too, once
        ([100, 103, 104, 101, 104, 105, 108, 112, 120, *[121] * 6], [104, 105, 112, 120, 121], [121]),
        # what is there for a moment is none
        ([100, 120, 100, 120, 120, 120, 120, 100], [120, 120], []),
        ([100, 100, 100], [], []),
    ],
)
async def test_what_the_library_keeps_is_handed_back_whenever_memory_has_grown_and_garbage_is_collected_seldom(
    monkeypatch: pytest.MonkeyPatch, taken_mib: list[int], trimmed: list[int], collected: list[int]
):
    monkeypatch.setattr(memory_release, "REST_S", 60.0)
    monkeypatch.setattr(memory_release, "MEMORY_CHECK_S", 0.0)
    now, trims, collections = iter(taken_mib), list[int](), list[int]()
    seen = [next(now)]
    monkeypatch.setattr(memory_release, "in_use_bytes", lambda: seen[-1] * MIB)
    monkeypatch.setattr(memory_release, "trim", lambda: trims.append(seen[-1]))
    monkeypatch.setattr(memory_release.gc, "collect", lambda: collections.append(seen[-1]))

    async def look(_wait_s: float) -> None:
        seen.append(next(now))

    monkeypatch.setattr(memory_release.asyncio, "sleep", look)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await memory_release.give_back(lambda: 0)
    assert (trims, collections) == (trimmed, collected)


def test_what_was_freed_below_what_is_in_use_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 2


def test_only_what_is_young_is_collected_without_being_told():
    before = gc.get_threshold()
    try:
        memory_release.collect_when_told()
        assert gc.get_threshold() == (*before[:2], memory_release.NEVER)
    finally:
        gc.set_threshold(*before)


HOLES = """
import sys, threading
from pathlib import Path
from common.runtime.memory_release import keep_little
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
if sys.argv[1] == "little":
    assert keep_little()
stays, together = [], threading.Barrier(12)
def work():
    del [bytearray(24 * 1024 * 1024)][:]  # freed: from now on the library takes such blocks from its own heaps
    held = [bytearray(1024 * 1024) for _ in range(8)]
    stays.append(bytes(5000))
    together.wait()
    del held
    together.wait()
before = pages()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(pages() - before)
"""


def test_large_blocks_that_threads_free_are_given_back_at_once(record_property):
    grown = {}
    for kept in ("as usual", "little"):
        command = [sys.executable, "-c", HOLES, kept]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        grown[kept] = int(done.stdout) * memory_release.PAGE_BYTES
    record_property("grown_bytes", grown)
    assert grown["little"] < grown["as usual"] / 4
