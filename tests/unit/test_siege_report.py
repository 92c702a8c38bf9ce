"""The report of a siege says plainly which bound did not hold, and never passes for want of a figure."""

from dataclasses import replace
from typing import Any

import pytest

from bench.siege.found import LOG_BYTES, MEMORY_BYTES, STORE_BYTES, Found


def phase(p95_ms: float, **refused: int) -> dict[str, Any]:
    return {
        "median_ms": {"health": p95_ms / 2},
        "p95_ms": {"health": p95_ms},
        "slowest_ms": {"health": 2 * p95_ms},
        "asked": {"health": 100},
        "refused": refused,
    }


UNANSWERED = {"median_ms": {}, "p95_ms": {}, "slowest_ms": {}, "asked": {}, "refused": {}}
NODES = {"refused": 0, "cut_off": 0, "returns": 3, "slowest_return_s": 1.0}
HELD = Found(
    quiet=phase(30.0), attacked=phase(60.0), nodes=NODES, attacks={"guesses": 1}, pushes_s=[1.0], minutes=1.0
)


def test_a_siege_in_which_every_bound_held_says_so_and_shows_its_figures():
    assert HELD.broken() == []
    shown = HELD.show()
    for text in (
        "quiet median",
        "15.0 ms",
        "30.0 ms",
        "60.0 ms",
        "refused 0",
        "pushes to all nodes        1",
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"attacked": phase(61.0)}, "p95 of 'health': 61 ms, allowed are 60 ms"),
        ({"quiet": phase(200.0), "attacked": phase(251.0)}, "allowed are 250 ms"),
        ({"attacked": UNANSWERED}, "p95 of 'health': inf"),
        ({"attacked": phase(60.0, health=1)}, "honest questions were refused under attack"),
        ({"quiet": phase(30.0, health=1)}, "honest questions were refused before"),
        ({"nodes": NODES | {"refused": 1}}, "honest nodes were refused or cut off"),
        ({"nodes": NODES | {"cut_off": 1}}, "honest nodes were refused or cut off"),
        ({"pushes_failed": 1}, "1 pushes did not arrive"),
        ({"pushes_s": []}, "nothing was pushed"),
        ({"attacks": {}}, "nobody attacked"),
        ({"memory_worst": MEMORY_BYTES + 1}, "memory under attack"),
        ({"memory_after": MEMORY_BYTES + 1}, "memory 30 s after"),
        ({"log_bytes": LOG_BYTES + 1}, "the log has"),
        ({"store_bytes": STORE_BYTES + 1}, "the store has grown"),
    ],
)
def test_a_bound_that_did_not_hold_is_told_and_the_figures_are_shown_all_the_same(
    changes: dict[str, Any], told: str
):
    found = replace(HELD, **changes)
    assert [each for each in found.broken() if told in each] == found.broken() != []
    assert found.show()
