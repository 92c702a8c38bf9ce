"""What nodes are to show to CAs, as every manager on a store finds it, on either engine."""

import pytest

from common.challenge import CHALLENGES_MAX, LIFETIME_MAX_S
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.challenges import PlacedChallenge
from manager.store.placed_challenges import PROLONGED_SHARE
from manager.store.store import Store

N1, N2 = NodeName("n1"), NodeName("n2")


@pytest.fixture
async def nodes(store: Store, clock) -> Store:
    for name in (N1, N2):
        await store.nodes.add(name, "node", names=(), addresses=(), now_s=1.0)
    return store


async def placed(store: Store) -> list[tuple[str, str, str, float]]:
    found = await store.placed_challenges.all()
    return [(each.node, each.token, each.response, each.expires_s) for each in found]


async def test_what_is_placed_is_found_by_node_and_by_token(nodes: Store, clock):
    await nodes.placed_challenges.place(
        {N1: {"a": "a.x", "b": "b.x"}, N2: {"a": "a.x"}}, until_s=clock.now_s + 9
    )
    end_s = clock.now_s + 9
    assert await placed(nodes) == [
        (N1, "a", "a.x", end_s),
        (N1, "b", "b.x", end_s),
        (N2, "a", "a.x", end_s),
    ]
    assert {each.node for each in await nodes.placed_challenges.of(["a"])} == {N1, N2}
    assert await nodes.placed_challenges.of([]) == []


async def test_placing_the_same_again_leaves_what_the_node_said(nodes: Store, clock):
    challenges = nodes.placed_challenges
    await challenges.place({N1: {"a": "a.x"}}, until_s=clock.now_s + 9)
    await challenges.note_kept({N1: {"a": ""}})
    await challenges.place({N1: {"a": "a.x"}}, until_s=clock.now_s + 9)
    await challenges.place({N1: {"a": "a.x"}}, until_s=clock.now_s + 20)
    (found,) = await challenges.all()
    assert (found.kept_s, found.expires_s) == (clock.now_s, clock.now_s + 20)
    await challenges.place({N1: {"a": "a.y"}}, until_s=clock.now_s + 20)
    (found,) = await challenges.all()
    assert (found.kept_s, found.response) == (None, "a.y")


async def test_nothing_is_shown_for_longer_than_it_can_be(nodes: Store, clock):
    await nodes.placed_challenges.place({N1: {"a": "a.x"}}, until_s=clock.now_s + 10 * LIFETIME_MAX_S)
    assert [each.expires_s for each in await nodes.placed_challenges.all()] == [clock.now_s + LIFETIME_MAX_S]


async def test_who_places_the_same_again_and_again_moves_its_end_now_and_then(nodes: Store, clock):
    ends = []
    for _ in range(20):
        await nodes.placed_challenges.place({N1: {"a": "a.x"}}, until_s=clock.now_s + 100)
        (found,) = await nodes.placed_challenges.all()
        assert found.expires_s >= clock.now_s + 100 * PROLONGED_SHARE
        ends.append(found.expires_s)
        clock.now_s += 4
    assert 5 <= len(set(ends)) <= 8


async def test_what_a_node_says_is_kept_and_a_fault_is_no_acknowledgement(nodes: Store, clock):
    challenges = nodes.placed_challenges
    await challenges.place({N1: {"a": "a.x"}, N2: {"a": "a.x"}}, until_s=clock.now_s + 9)
    await challenges.note_kept(
        {N1: {"a": ""}, N2: {"a": "no room", "unknown": ""}, NodeName("gone"): {"a": ""}}
    )
    found = {each.node: each for each in await challenges.all()}
    assert (found[N1].kept_s, found[N1].fault) == (clock.now_s, "")
    assert (found[N2].kept_s, found[N2].fault) == (None, "no room")
    await challenges.note_kept({N2: {"a": ""}})
    assert [each.fault for each in await challenges.all()] == ["", ""]


async def test_what_is_removed_is_shown_by_nobody(nodes: Store, clock):
    challenges = nodes.placed_challenges
    await challenges.place({N1: {"a": "a.x", "b": "b.x"}, N2: {"a": "a.x"}}, until_s=clock.now_s + 9)
    await challenges.remove(["a", "never-there"])
    assert [(each.node, each.token) for each in await challenges.all()] == [(N1, "b")]
    await challenges.remove([])


async def test_what_has_expired_can_be_forgotten_and_leaves_room(nodes: Store, clock):
    challenges = nodes.placed_challenges
    many = {f"t{number}": "x" for number in range(CHALLENGES_MAX)}
    await challenges.place({N1: many}, until_s=clock.now_s + 9)
    await challenges.place({N1: {"more": "x"}}, until_s=clock.now_s + 20)
    assert "more" not in {each.token for each in await challenges.all()}
    clock.now_s += 9
    await challenges.place({N1: {"more": "x"}}, until_s=clock.now_s + 20)
    assert [each.token for each in await challenges.all()] == ["more"]
    clock.now_s += 20
    await challenges.remove_expired()
    assert await challenges.all() == []


async def test_a_node_without_room_keeps_no_other_from_showing_its_own_and_what_no_node_can_show_is_refused(
    nodes: Store, clock
):
    challenges = nodes.placed_challenges
    many = {f"t{number}": "x" for number in range(CHALLENGES_MAX)}
    await challenges.place({N1: many}, until_s=clock.now_s + 9)
    await challenges.place({N1: {"more": "x"}, N2: {"more": "x"}}, until_s=clock.now_s + 9)
    assert [each.node for each in await challenges.of(["more"])] == [N2]
    with pytest.raises(ConflictError, match=f"{CHALLENGES_MAX + 1} challenges at once"):
        await challenges.place({N2: {**many, "more": "x"}}, until_s=clock.now_s + 9)


async def test_a_node_that_is_removed_takes_its_challenges_along_and_one_that_is_not_there_gets_none(
    nodes: Store, clock
):
    await nodes.placed_challenges.place(
        {N1: {"a": "x"}, NodeName("gone"): {"a": "x"}}, until_s=clock.now_s + 9
    )
    assert len(await nodes.placed_challenges.all()) == 1
    await nodes.nodes.remove(N1)
    assert await nodes.placed_challenges.all() == []


async def test_others_hear_of_what_is_placed_or_removed_and_not_of_what_nodes_say(nodes: Store, clock):
    seen = [(await nodes.feed.since(0)).challenges]
    for change in (
        nodes.placed_challenges.place({N1: {"a": "x"}}, until_s=clock.now_s + 9),
        nodes.placed_challenges.note_kept({N1: {"a": ""}}),
        nodes.placed_challenges.place({N1: {"a": "x"}}, until_s=clock.now_s + 9),
        nodes.placed_challenges.remove(["a"]),
        nodes.placed_challenges.remove(["a"]),
    ):
        await change
        seen.append((await nodes.feed.since(0)).challenges)
    assert len(set(seen)) == (3 if nodes.is_shared else 1)
    assert seen[1] == seen[2] == seen[3]
    assert seen[4] == seen[5]


def test_what_is_answered_stands_in_no_repr():
    assert "secret" not in repr(PlacedChallenge(node=N1, token="a", response="secret", expires_s=1.0))
