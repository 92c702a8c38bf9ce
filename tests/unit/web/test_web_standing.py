from dataclasses import replace
from typing import get_args

from common.ids import NodeName
from manager.domain.facts import NodeFacts
from manager.domain.view import NodeView, PushView, State
from manager.web.standing import LATELY_S, ROWS_MAX, WAVE_S, lately, tiles, wave
from tests.pki import NOW_S


def view(name: str, push: PushView | None = None) -> NodeView:
    return replace(NodeFacts(name=NodeName(name), kind="node", joined=True).view(1000.0), push=push)


def push(result: str = "applied", *, began_s: float = 10, took_s: float = 1, waited_s: float = 0) -> PushView:
    """A push that began a while ago; without a result it is under way."""
    offered_s = NOW_S - began_s
    return PushView(
        push_id="p",
        generation=1,
        changed_s=offered_s - waited_s,
        offered_s=offered_s,
        concluded_s=offered_s + took_s if result else None,
        phase=None,
        result=result,
        reason="",
        message="",
    )


def test_every_state_is_in_exactly_one_tile():
    states = [state for tile in tiles(dict.fromkeys(get_args(State), 1)) for state in tile.states]
    assert sorted(states) == sorted(get_args(State))


def test_tiles_sum_up_and_say_what_is_among_them():
    made = {tile.title: tile for tile in tiles({"in_sync": 1200, "failed": 2, "drifted": 1})}
    assert (made["In sync"].count, made["Failed"].count, made["Pending"].count) == (1200, 3, 0)
    assert made["Failed"].detail == "2 failed, 1 drifted"


def test_nodes_that_never_joined_are_told_of_only_if_there_are_some():
    assert "Never joined" not in [tile.title for tile in tiles({"in_sync": 1})]
    assert "Never joined" in [tile.title for tile in tiles({"never_joined": 1})]


def test_how_long_changes_took_counts_from_the_change_and_only_what_was_applied_lately():
    views = [
        view("a", push(took_s=1, waited_s=1)),
        view("b", push(took_s=4)),
        view("c", push(took_s=9)),
        view("d", push("rolled_back", took_s=50)),
        view("e", push("")),
        view("f", push(began_s=LATELY_S + 10)),
        view("g"),
    ]
    found = lately(views, now_s=NOW_S)
    assert found is not None
    assert (found.count, found.median_s, found.slowest_s) == (3, 4, 9)


def test_without_a_push_there_is_no_figure():
    assert lately([view("a")], now_s=NOW_S) is None


def test_a_wave_tells_what_is_under_way_first_then_what_failed_then_the_latest():
    views = [
        view("old", push(began_s=100)),
        view("new", push(began_s=10)),
        view("bad", push("rolled_back")),
        view("going", push("", began_s=WAVE_S * 2)),
        view("past", push(began_s=WAVE_S + 1)),
        view("none"),
    ]
    found = wave(views, now_s=NOW_S)
    assert [row.name for row, _ in found.rows] == ["going", "bad", "new", "old"]
    assert (found.total, found.under_way, found.applied, found.failed, found.concluded) == (4, 1, 2, 1, 3)


def test_a_large_wave_is_counted_whole_and_told_in_part():
    found = wave([view(f"n{number}", push()) for number in range(1000)], now_s=NOW_S)
    assert (found.total, len(found.rows)) == (1000, ROWS_MAX)
