import asyncio

import pytest

from common.errors import ConflictError, EnrolmentError, NotFoundError, Reason
from manager.domain.callers import Maker
from manager.domain.model import NodeRecord
from manager.store.nodes import LIVE_TOKENS_MAX
from tests.unit.store.given import (
    LINE,
    N1,
    N2,
    NOW_S,
    add_nodes,
    new_certificate,
    new_generation,
    publish,
)

SECRET = "5" * 64
KEY_A, KEY_B = f"{LINE}a", f"{LINE}b"


async def add_token(store, node=N1, secret=SECRET, expires_s=NOW_S + 60, now_s=NOW_S) -> None:
    await store.nodes.add_join_token(
        node, secret_hash=secret, created_by="ann", maker=Maker(), expires_s=expires_s, now_s=now_s
    )


async def redeem(store, node=N1, secret=SECRET, key=KEY_A, now_s=NOW_S) -> NodeRecord:
    return await store.nodes.redeem_join_token(node, secret_hash=secret, public_key=key, now_s=now_s)


async def refused(store, **given) -> Reason:
    with pytest.raises(EnrolmentError) as caught:
        await redeem(store, **given)
    return caught.value.reason


async def test_a_node_comes_back_as_it_was_given(store):
    record = await store.nodes.add(
        N1, "management", names=["a.example.com"], addresses=["192.0.2.1", "2001:db8::1"], now_s=NOW_S
    )
    assert record == NodeRecord(
        id=record.id,
        name=N1,
        kind="management",
        names=("a.example.com",),
        addresses=("192.0.2.1", "2001:db8::1"),
        public_key="",
        created_s=NOW_S,
        enrolled_s=None,
    )
    assert await store.nodes.get(N1) == record
    assert await store.nodes.list() == [record]


async def test_a_name_is_given_once(store):
    await add_nodes(store, N1)
    with pytest.raises(ConflictError, match="a node 'n1' already exists"):
        await add_nodes(store, N1)


async def test_a_missing_node_is_named(store):
    for act in (
        store.nodes.get(N1),
        store.nodes.remove(N1),
        store.nodes.pin(N1, KEY_A, former_key=""),
        add_token(store),
    ):
        with pytest.raises(NotFoundError, match="no node 'n1'"):
            await act


async def test_a_removed_node_takes_everything_of_it(store):
    await add_nodes(store, N1, N2)
    record, _ = await store.certificates.add(new_certificate(), now_s=NOW_S)
    await store.assignments.assign(record.id, [N1, N2], "server")
    await add_token(store)
    await redeem(store)
    await publish(store, new_generation(1), new_generation(1, node=N2))
    await store.nodes.remove(N1)
    assert await store.nodes.keys() == {}
    assert set(await store.generations.latest()) == {N2}
    assert [each.node for each in await store.assignments.list()] == [N2]
    await add_nodes(store, N1)
    assert await refused(store) == Reason.TOKEN_UNKNOWN


async def test_a_token_pins_the_key_that_brought_it(store):
    await add_nodes(store, N1)
    await add_token(store)
    record = await redeem(store, now_s=NOW_S + 5)
    assert (record.public_key, record.enrolled_s) == (KEY_A, NOW_S + 5)
    assert await store.nodes.keys() == {KEY_A: N1}


async def test_joining_again_with_the_same_key_is_harmless_even_after_the_token_expired(store):
    await add_nodes(store, N1)
    await add_token(store)
    first = await redeem(store)
    assert await redeem(store, now_s=NOW_S + 3600) == first


async def test_a_used_token_does_not_work_for_another_key(store):
    await add_nodes(store, N1)
    await add_token(store)
    await redeem(store)
    assert await refused(store, key=KEY_B) == Reason.TOKEN_USED
    assert await store.nodes.keys() == {KEY_A: N1}


async def test_of_two_keys_that_come_at_once_one_is_pinned(store):
    await add_nodes(store, N1)
    await add_token(store)
    answers = await asyncio.gather(redeem(store), redeem(store, key=KEY_B), return_exceptions=True)
    assert sum(isinstance(answer, NodeRecord) for answer in answers) == 1
    assert len(await store.nodes.keys()) == 1


async def test_a_new_token_replaces_the_pinned_key_and_the_old_key_cannot_come_back(store):
    await add_nodes(store, N1)
    await add_token(store)
    await redeem(store)
    await add_token(store, secret="6" * 64)
    await redeem(store, secret="6" * 64, key=KEY_B)
    assert await store.nodes.keys() == {KEY_B: N1}
    assert await refused(store) == Reason.TOKEN_USED
    assert await store.nodes.keys() == {KEY_B: N1}


async def test_a_token_ends_at_its_expiry(store):
    await add_nodes(store, N1)
    await add_token(store, expires_s=NOW_S + 60)
    assert await refused(store, now_s=NOW_S + 60) == Reason.TOKEN_EXPIRED
    assert await redeem(store, now_s=NOW_S + 59)


@pytest.mark.parametrize("wrong", [{"secret": "7" * 64}, {"node": N2}, {"node": "n3"}])
async def test_a_forged_token_another_nodes_and_an_unknown_nodes_get_the_same_answer(store, wrong):
    await add_nodes(store, N1, N2)
    await add_token(store)
    assert await refused(store, **wrong) == Reason.TOKEN_UNKNOWN
    assert await store.nodes.keys() == {}


async def test_a_key_is_one_nodes_only(store):
    await add_nodes(store, N1, N2)
    await add_token(store)
    await redeem(store)
    await add_token(store, node=N2, secret="6" * 64)
    with pytest.raises(ConflictError, match="pinned to node 'n1'"):
        await redeem(store, node=N2, secret="6" * 64)
    with pytest.raises(ConflictError, match="pinned to node 'n1'"):
        await store.nodes.pin(N2, KEY_A, former_key="")
    assert await redeem(store, node=N2, secret="6" * 64, key=KEY_B)


async def test_a_key_is_pinned_anew_for_rotation(store):
    await add_nodes(store, N1)
    await store.nodes.pin(N1, KEY_A, former_key="")
    await store.nodes.pin(N1, KEY_A, former_key="")
    await store.nodes.pin(N1, KEY_B, former_key=KEY_A)
    assert await store.nodes.keys() == {KEY_B: N1}


async def test_a_key_that_was_replaced_meanwhile_hands_over_to_no_other(store):
    await add_nodes(store, N1)
    await store.nodes.pin(N1, KEY_A, former_key="")
    await store.nodes.pin(N1, KEY_B, former_key=KEY_A)
    with pytest.raises(EnrolmentError) as caught:
        await store.nodes.pin(N1, f"{LINE}c", former_key=KEY_A)
    assert caught.value.reason is Reason.FORBIDDEN
    assert await store.nodes.keys() == {KEY_B: N1}


async def test_a_node_has_so_many_unused_tokens_and_no_more(store):
    await add_nodes(store, N1, N2)
    for number in range(LIVE_TOKENS_MAX):
        await add_token(store, secret=f"{number:064d}")
    with pytest.raises(ConflictError, match=f"{LIVE_TOKENS_MAX} unused join tokens"):
        await add_token(store, secret="a" * 64)
    await add_token(store, node=N2, secret="b" * 64)
    await redeem(store, secret=f"{0:064d}")
    await add_token(store, secret="c" * 64)
    await add_token(store, secret="d" * 64, now_s=NOW_S + 60, expires_s=NOW_S + 120)
