from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

from common.api.codes import State
from common.ids import NodeName
from manager.domain.facts import NodeFacts
from manager.domain.view import NodeView, PushView, SlotView
from manager.domain.view_of_facts import view_of
from manager.web.fleetstatus import (
    PLACES_MAX,
    RECENT_S,
    ROWS_MAX,
    WAVE_S,
    recent_pushes,
    rollout_of,
    tiles,
    wave,
)
from tests.pki import NOW_S


def view(name: str, push: PushView | None = None) -> NodeView:
    return replace(view_of(NodeFacts(name=NodeName(name), kind="node", joined=True), 1000.0), push=push)


def push(result: str = "applied", *, began_s: float = 10, took_s: float = 1, waited_s: float = 0) -> PushView:
    """A push that began a while ago; without a result it is under way."""
    offered_s = NOW_S - began_s
    return PushView(
        push_id="p",
        generation=1,
        changed_at_s=offered_s - waited_s,
        offered_at_s=offered_s,
        concluded_at_s=offered_s + took_s if result else None,
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
        view("f", push(began_s=RECENT_S + 10)),
        view("g"),
    ]
    found = recent_pushes(views, now_s=NOW_S)
    assert found is not None
    assert (found.count, found.median_s, found.slowest_s) == (3, 4, 9)


def test_without_a_push_there_is_no_figure():
    assert recent_pushes([view("a")], now_s=NOW_S) is None


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


def entry(*nodes: str, slot: str = "server"):
    leaf = SimpleNamespace(fingerprint="f" * 64)
    return SimpleNamespace(
        leaf=leaf, places=[SimpleNamespace(node=NodeName(name), slot=slot) for name in nodes]
    )


def serving(name: str, leaf: str | None, push: PushView | None = None) -> NodeView:
    slot = SlotView(desired=None, offered=None, applied=None, serving=leaf)
    return replace(view(name, push), slots={"server": slot})


def test_a_rollout_counts_who_serves_it_and_how_long_the_last_one_took():
    views = [serving(name, "f" * 64, push(took_s=took)) for name, took in (("a", 1.0), ("b", 1.6))]
    found = rollout_of(entry("a", "b"), {each.name: each for each in views})
    assert (found.serving, found.probed, round(found.took_s, 3)) == (2, 2, 1.6)


def test_who_does_not_serve_it_yet_comes_first_and_nothing_is_said_of_its_time():
    views = [serving("a", "f" * 64, push()), serving("b", "e" * 64, push())]
    found = rollout_of(entry("a", "b"), {each.name: each for each in views})
    assert [(row.node, row.is_serving) for row in found.rows] == [("b", False), ("a", True)]
    assert (found.serving, found.probed, found.took_s) == (1, 2, None)


def test_a_client_certificate_is_not_probed_and_many_nodes_are_counted():
    names = [f"n{number}" for number in range(PLACES_MAX + 5)]
    found = rollout_of(entry(*names, slot="client"), {NodeName(name): view(name) for name in names})
    assert (found.probed, len(found.rows), found.more) == (0, PLACES_MAX, 5)
