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
    ("changes", "reply"),
    [
        ({"attacked": phase(61.0)}, "p95 of 'health'"),
        ({"quiet": phase(200.0), "attacked": phase(251.0)}, "p95 of 'health'"),
        ({"attacked": UNANSWERED}, "p95 of 'health'"),
        ({"attacked": phase(60.0, health=1)}, "honest questions refused under attack"),
        ({"quiet": phase(30.0, health=1)}, "honest questions refused before"),
        ({"nodes": NODES | {"refused": 1}}, "honest nodes refused"),
        ({"nodes": NODES | {"cut_off": 1}}, "honest nodes cut off"),
        ({"pushes_failed": 1}, "pushes that arrived at all nodes"),
        ({"pushes_s": []}, "pushes that arrived at all nodes"),
        ({"attacks": {}}, "attacks"),
        ({"memory_worst": MEMORY_BYTES + 1}, "memory at worst, grown by"),
        ({"memory_after": MEMORY_BYTES + 1}, "memory after 30 s, grown by"),
        ({"log_bytes": LOG_BYTES + 1}, "log, grown by"),
        ({"store_bytes": STORE_BYTES + 1}, "store, grown by"),
    ],
)
def test_a_bound_that_did_not_hold_is_told_and_the_figures_are_shown_all_the_same(
    changes: dict[str, Any], reply: str
):
    found = replace(HELD, **changes)
    assert [bound.what for bound in found.broken()] == [reply]
    assert [line for line in found.show().splitlines() if line.startswith("NOT HELD")] == [
        bound.show() for bound in found.broken()
    ]


def test_every_bound_is_shown_with_what_was_found_and_what_is_allowed():
    shown = replace(HELD, attacked=phase(61.0), memory_before=0, memory_after=1024 * 1024).show()
    assert "NOT HELD  p95 of 'health'" in shown
    assert "61 ms (quiet 30 ms)        allowed: 60 ms" in shown
    assert "1.0 MiB                    allowed: 64 MiB at most" in shown
    assert shown.count("\nheld ") == len(HELD.bounds()) - 1
