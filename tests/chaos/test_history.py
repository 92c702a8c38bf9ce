"""The checker finds each contradiction that a history can have, and none in one that has none."""

from dataclasses import replace

import pytest

from tests.chaos.history import Change, Ending, History, Installed, Kept, Seen, contradictions


def change(leaf: str, asked_s: float, told_s: float, answer: str = "acknowledged", *nodes: str) -> Change:
    return Change(
        leaf=leaf,
        nodes=frozenset(nodes or ("n1",)),
        asked_s=asked_s,
        told_s=told_s,
        answer=answer,  # type: ignore[arg-type]
        manager="m1",
    )


def installed(generation: int, leaf: str, at_s: float, node: str = "n1") -> Installed:
    return Installed(node=node, at_s=at_s, epoch=1, generation=generation, digest=f"of {leaf}", leaf=leaf)


def row(run: str, table: str, act: str = "INSERT", **more) -> Kept:
    return Kept(run=run, table=table, act=act, **more)  # type: ignore[arg-type]


def ending(applied: str, *stored: str, **more) -> Ending:
    views = {manager: {"n1": Seen(state="in_sync", applied=applied)} for manager in ("m1", "m2")}
    given = {"views": views, "stored": frozenset(stored), "uploads": list(stored), **more}
    return Ending(**given)


def whole() -> History:
    """Two changes of one node, one after the other, and a third of which nobody knows."""
    return History(
        changes=[
            change("a", 1.0, 2.0),
            change("b", 3.0, 4.0),
            change("c", 3.5, 9.0, "unknown"),
            change("d", 5.0, 6.0, "refused"),
        ],
        installed=[installed(1, "", 0.5), installed(2, "a", 2.5), installed(3, "b", 4.5)],
        kept=[
            row("m1.1", "meta"),
            row("m1.1", "member", member=1),
            row("m1.1", "duty", member=1),
            row("m1.1", "hold", node="n1", member=1),
            *(
                row("m1.1", "generation", node="n1", generation=n, digest=f"of {leaf}")
                for n, leaf in ((1, ""), (2, "a"), (3, "b"))
            ),
            row("m1.1", "report", "UPDATE", node="n1"),
            row("m1.1", "alarm"),
            row("m2.1", "member", member=2),
            row("m2.1", "hold", "UPDATE", node="n1", member=2),
            row("m2.1", "report", "UPDATE", node="n1"),
            row("m2.1", "hold", "DELETE", node="n1", member=2),
        ],
        reloads={"n1": 2},
        ending=ending("b", "a", "b"),
    )


def test_a_history_without_a_contradiction_has_none():
    assert contradictions(whole()) == []


def test_a_change_of_which_nobody_knows_may_be_made_or_not_and_at_any_time():
    history = whole()
    history.installed += [installed(4, "c", 20.0)]
    history.kept.append(row("m2.1", "generation", node="n1", generation=4, digest="of c"))
    history.ending = ending("c", "a", "b", "c")
    assert contradictions(history) == []


def test_of_two_changes_at_one_time_either_may_be_the_last():
    history = whole()
    history.changes[1] = change("b", 1.5, 4.0)
    history.installed[1:] = [installed(2, "b", 4.5), installed(3, "a", 4.6)]
    history.kept[5:7] = [
        row("m1.1", "generation", node="n1", generation=2, digest="of b"),
        row("m1.1", "generation", node="n1", generation=3, digest="of a"),
    ]
    history.ending = ending("a", "a", "b")
    assert contradictions(history) == []


@pytest.mark.parametrize(
    ("generation", "leaf", "found"),
    [
        (2, "b", "n1 installed generation 2 of epoch 1 after generation 3 of epoch 1"),
        (3, "b", "n1 installed generation 3 of epoch 1 after generation 3 of epoch 1"),
        (4, "a", "n1 installed leaf a after one that was asked for when that was over"),
        (4, "x", "n1 installed generation 4 with leaf x, which nobody asked for"),
        (4, "d", "n1 installed generation 4 with leaf d, which m1 had refused"),
    ],
)
def test_what_a_node_installs_last(generation: int, leaf: str, found: str):
    history = whole()
    history.kept = []
    history.installed.append(installed(generation, leaf, 10.0))
    assert found in contradictions(history)


def test_a_node_that_has_a_leaf_before_anybody_asked_for_it():
    history = whole()
    history.installed[1] = replace(history.installed[1], at_s=0.9)
    assert contradictions(history) == ["n1 installed generation 2 with leaf a before that was asked for"]


def test_a_node_that_was_given_what_was_asked_for_another():
    history = whole()
    history.changes[1] = change("b", 3.0, 4.0, "acknowledged", "n2")
    found = contradictions(history)
    assert "n1 installed generation 3 with leaf b, which nobody asked for" in found
    assert "n2 has leaf  in the end, and not b, which was assigned to it later" in found


def test_one_number_with_two_contents():
    history = whole()
    history.kept[6] = row("m1.1", "generation", node="n1", generation=3, digest="of x")
    assert contradictions(history) == [
        "n1 installed generation 3 with other content than what there is under it"
    ]
    history.kept[6:6] = [row("m1.1", "generation", node="n1", generation=3, digest="of b")]
    assert contradictions(history) == ["generation 3 of n1 was published twice, with different content"]


def test_a_generation_that_nobody_published():
    history = whole()
    del history.kept[6]
    assert contradictions(history) == ["n1 installed generation 3, which nobody published"]


def test_a_node_that_does_not_have_what_was_acknowledged_last():
    history = whole()
    del history.installed[2]
    history.ending = ending("a", "a", "b")
    history.reloads = {}
    assert contradictions(history) == ["n1 has leaf a in the end, and not b, which was assigned to it later"]


def test_managers_that_do_not_agree_in_the_end():
    history = whole()
    views = {"m1": {"n1": Seen(state="in_sync", applied="a")}, "m2": {}}
    history.ending = ending("b", "a", "b", views=views)
    assert contradictions(history) == [
        "m1 says in the end that n1 is in_sync with leaf a, and it has b",
        "m2 does not know n1 in the end",
    ]


@pytest.mark.parametrize(
    ("stored", "uploads", "found"),
    [
        ("a", "a", "leaf b, acknowledged by m1, is gone"),
        ("abd", "abd", "leaf d, refused by m1, is there"),
        ("ab", "a", "leaf b, acknowledged by m1, is there, and has 0 entries in the audit log"),
        ("ab", "aabc", "leaf a, acknowledged by m1, is there, and has 2 entries in the audit log"),
        ("ab", "aabc", "leaf c, left open by m1, is not there, and has 1 entries in the audit log"),
    ],
)
def test_what_was_promised(stored: str, uploads: str, found: str):
    history = whole()
    history.ending = ending("b", *stored, uploads=list(uploads))
    assert found in contradictions(history)


def test_an_alarm_that_is_raised_twice():
    history = whole()
    history.ending = ending("b", "a", "b", alarms=[("x", "n1"), ("x", "n2"), ("x", "n1")])
    assert contradictions(history) == ["alarm x of n1 is raised 2 times"]


def test_a_service_that_was_reloaded_for_nothing():
    history = whole()
    history.reloads["n1"] = 4
    assert contradictions(history) == ["n1 reloaded its service 4 times for 3 contents"]


def test_content_that_comes_again_needs_no_reload():
    history = whole()
    again = replace(installed(4, "b", 6.0), digest="of b")
    history.installed.append(again)
    history.kept.append(row("m2.1", "generation", node="n1", generation=4, digest="of b"))
    history.reloads["n1"] = 4
    assert contradictions(history) == ["n1 reloaded its service 4 times for 3 contents"]


@pytest.mark.parametrize(
    ("late", "found"),
    [
        (
            row("m1.1", "generation", node="n1", generation=4),
            "m1.1 changed 'generation' after it was evicted",
        ),
        (row("m1.1", "meta", "UPDATE"), "m1.1 changed 'meta' after it was evicted"),
        (row("m2.1", "report", "UPDATE", node="n1"), "m2.1 kept a report of n1, which it did not hold"),
        (row("m2.1", "alarm"), "m2.1 raised or lowered an alarm without that duty"),
    ],
)
def test_a_manager_that_goes_on_after_it_was_evicted(late: Kept, found: str):
    history = whole()
    history.kept += [
        row("m2.1", "duty", "DELETE", member=1),
        row("m2.1", "member", "DELETE", member=1),
        late,
    ]
    assert contradictions(history) == [found]


def test_a_manager_that_joined_again_may_go_on():
    history = whole()
    history.kept += [
        row("m2.1", "duty", "DELETE", member=1),
        row("m2.1", "member", "DELETE", member=1),
        row("m1.1", "member", member=3),
        row("m1.1", "duty", member=3),
        row("m1.1", "hold", node="n1", member=3),
        row("m1.1", "report", "UPDATE", node="n1"),
        row("m1.1", "alarm"),
    ]
    assert contradictions(history) == []
