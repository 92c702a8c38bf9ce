import pytest

from manager.fleet.watch import AT_ONCE, Watchers

NODES = {"n1": "view of n1", "n2": "view of n2"}


def watching(watchers: Watchers, since: str | None = None):
    return watchers.subscribe(NODES.get, names=NODES, since=since)


async def test_a_watcher_without_a_mark_hears_of_what_changes_from_now_on():
    watchers = Watchers()
    watchers.note("n1")
    with watching(watchers) as changes:
        assert await changes.take(0.01) == []
        watchers.note("n2")
        assert await changes.take(1) == ["view of n2"]


async def test_a_watcher_that_comes_back_gets_what_it_missed_and_no_more():
    watchers = Watchers()
    with watching(watchers) as changes:
        watchers.note("n1")
        await changes.take(1)
        mark = changes.mark
    watchers.note("n2")
    with watching(watchers, mark) as changes:
        assert await changes.take(1) == ["view of n2"]
        assert changes.mark == watchers.mark
    with watching(watchers, watchers.mark) as changes:
        assert await changes.take(0.01) == []


@pytest.mark.parametrize("mark", ["", "x", "0123456789abcdef-0", "-", "x-²"])
async def test_a_mark_of_another_run_or_none_at_all_gives_every_node(mark: str):
    with watching(Watchers(), mark) as changes:
        assert await changes.take(1) == list(NODES.values())


@pytest.mark.parametrize("count", ["x", "", "-1", "9" * 30])
async def test_a_mark_that_is_garbled_gives_every_node(count: str):
    watchers = Watchers()
    run = watchers.mark.partition("-")[0]
    with watching(watchers, f"{run}-{count}") as changes:
        assert len(await changes.take(1)) == len(NODES)


async def test_a_node_that_was_removed_is_told_once():
    watchers = Watchers()
    with watching(watchers) as changes:
        watchers.note("n9")
        watchers.note("n1")
        assert (await changes.take(1), changes.gone) == (["view of n1"], ["n9"])
        assert (await changes.take(0.01), changes.gone) == ([], [])


async def test_a_change_of_all_nodes_is_told_in_parts_and_the_mark_moves_with_the_last():
    watchers, asked = Watchers(), list[str]()
    names = [f"n{number}" for number in range(2 * AT_ONCE + 1)]
    with watchers.subscribe(
        lambda name: asked.append(name) or f"view of {name}", names=names, since=None
    ) as changes:
        for name in names:
            watchers.note(name)
        parts, marks = [], []
        for _ in range(3):
            parts.append(len(await changes.take(1)))
            marks.append(changes.mark)
    assert parts == [AT_ONCE, AT_ONCE, 1]
    assert marks == ["", "", watchers.mark]
    assert asked == names


async def test_who_asks_only_which_nodes_changed_has_no_view_made():
    watchers = Watchers()
    with watchers.subscribe(lambda _: pytest.fail("a view was made"), names=NODES, since=None) as changes:
        watchers.note("n1")
        watchers.note("n9")
        assert await changes.take_names(1) == {"n1", "n9"}
        assert await changes.take_names(0.01) == frozenset()
