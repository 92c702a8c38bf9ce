import asyncio

import pytest

from common.errors import ConflictError, NotFoundError
from common.ids import NodeName
from manager.domain.model import GenerationRecord
from manager.store import generations as module
from manager.store.tables.content import node, payload
from tests.unit.store.given import KEY_PEM, N1, N2, NOW_S, add_nodes, digests_of, new_generation, publish


async def rows_of_payloads(store) -> dict[str, bool]:
    async with store._database.read() as connection:
        return {row.digest: row.sealed for row in await connection.execute(payload.select())}


async def test_a_generation_comes_back_as_it_was_published(store):
    await add_nodes(store, N1)
    item = new_generation(1)
    (record,) = await publish(store, item)
    assert record == GenerationRecord(
        node=N1,
        epoch=1,
        generation=1,
        digest=item.digest,
        manifest=item.manifest,
        created_s=NOW_S,
        cause="test",
    )
    assert await store.generations.latest() == {N1: record}
    assert await store.generations.history(N1) == [record]
    assert await store.generations.get(N1, number=1) == record


async def test_payloads_come_back_whole_and_what_does_not_exist_is_left_out(store):
    await add_nodes(store, N1)
    item = new_generation(1)
    await publish(store, item)
    assert await store.generations.payloads([*item.payloads, "0" * 64]) == dict(item.payloads)


async def test_what_nodes_share_is_kept_once_and_secret_parts_are_sealed(store):
    await add_nodes(store, N1, N2)
    one, two = new_generation(1), new_generation(1, node=N2)
    await publish(store, one, two)
    rows = await rows_of_payloads(store)
    assert set(rows) == digests_of(one) == digests_of(two)
    assert {digest for digest, sealed in rows.items() if sealed} == one.secrets


async def test_a_key_is_sealed_whatever_the_caller_said_of_it(store):
    await add_nodes(store, N1)
    item = new_generation(1, text=KEY_PEM)
    bare = type(item)(**{**{n: getattr(item, n) for n in item.__slots__}, "secrets": frozenset()})
    await publish(store, bare)
    rows = await rows_of_payloads(store)
    assert {digest for digest, body in item.payloads.items() if b"PRIVATE KEY" in body} == {
        digest for digest, sealed in rows.items() if sealed
    }


@pytest.mark.parametrize("number", [1, 4, 5])
async def test_a_number_that_does_not_rise_is_refused_with_all_that_came_with_it(store, number):
    await add_nodes(store, N1, N2)
    await publish(store, new_generation(5, follows=0))
    with pytest.raises(
        ConflictError, match=f"generation {number} of node 'n1' is not higher than its last one"
    ):
        await publish(store, new_generation(1, node=N2), new_generation(number, follows=5, text="new"))
    assert set(await store.generations.latest()) == {N1}
    assert len(await rows_of_payloads(store)) == len(digests_of(new_generation(5)))


@pytest.mark.parametrize("follows", [0, 4, 6])
async def test_what_was_made_after_another_generation_than_the_last_is_refused(store, follows):
    """Another manager was faster, or the server that kept what it followed is gone: content may be older than what is kept."""
    await add_nodes(store, N1, N2)
    await publish(store, new_generation(5, follows=0))
    with pytest.raises(ConflictError, match="generation 7 of node 'n1' does not follow its last one"):
        await publish(store, new_generation(1, node=N2), new_generation(7, follows=follows, text="new"))
    assert {name: each.generation for name, each in (await store.generations.latest()).items()} == {N1: 5}


async def test_a_new_epoch_does_not_let_numbers_fall(store):
    await add_nodes(store, N1)
    await publish(store, new_generation(5, follows=0))
    with pytest.raises(ConflictError):
        await publish(store, new_generation(5, follows=5, epoch=2))
    await publish(store, new_generation(6, epoch=2))
    assert (await store.generations.latest())[N1].epoch == 2


async def test_numbers_rise_within_one_publication_too(store):
    await add_nodes(store, N1)
    with pytest.raises(ConflictError):
        await publish(store, new_generation(3, follows=0), new_generation(2, follows=3))
    await publish(store, new_generation(2, follows=0), new_generation(3))
    assert (await store.generations.latest())[N1].generation == 3


async def test_of_two_publications_of_one_number_one_is_kept(store):
    await add_nodes(store, N1)
    answers = await asyncio.gather(
        publish(store, new_generation(1, text="a")),
        publish(store, new_generation(1, text="b")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(ConflictError) == 1
    assert len(await store.generations.history(N1)) == 1


async def test_a_node_that_is_gone_is_left_out_of_what_is_published(store):
    await add_nodes(store, N1)
    kept = await publish(store, new_generation(1), new_generation(1, node=N2))
    assert [each.node for each in kept] == [N1]
    assert set(await store.generations.latest()) == {N1}


async def test_what_was_made_for_a_node_is_not_published_to_another_that_has_its_name_now(store):
    await add_nodes(store, N1)
    made_before = new_generation(1)
    await store.nodes.remove(N1)
    await add_nodes(store, N1)
    assert await publish(store, made_before) == []
    assert await store.generations.latest() == {}


async def test_publishing_nothing_is_nothing(store):
    assert await publish(store) == []


async def test_history_has_the_newest_first_and_no_more_than_asked(store):
    await add_nodes(store, N1, N2)
    await publish(
        store, *(new_generation(number) for number in (1, 2, 3)), new_generation(9, follows=0, node=N2)
    )
    assert [each.generation for each in await store.generations.history(N1, limit=2)] == [3, 2]
    assert {name: each.generation for name, each in (await store.generations.latest()).items()} == {
        N1: 3,
        N2: 9,
    }


@pytest.mark.parametrize("number", [2, 2**31, 2**70])
async def test_a_missing_generation_is_named(store, number):
    await add_nodes(store, N1)
    await publish(store, new_generation(1))
    with pytest.raises(NotFoundError, match=f"no generation {number} "):
        await store.generations.get(N1, number=number)


async def test_more_nodes_than_one_statement_names(store):
    names = [NodeName(f"m{number}") for number in range(1, 521)]
    async with store._database.write() as connection:
        await connection.execute(
            node.insert(),
            [{"name": n, "kind": "node", "names": "[]", "addresses": "[]", "created_s": 1.0} for n in names],
        )
    await publish(store, *(new_generation(1, node=name) for name in names))
    with pytest.raises(ConflictError, match="'m520' is not higher than its last one"):
        await publish(
            store,
            *(new_generation(2, node=name) for name in names[:-1]),
            new_generation(1, follows=1, node=names[-1]),
        )
    assert {each.generation for each in (await store.generations.latest()).values()} == {1}


async def test_collecting_keeps_the_newest_and_all_that_they_name(store):
    await add_nodes(store, N1, N2)
    items = [new_generation(number, text=f"t{number}") for number in (1, 2, 3, 4)]
    shared = new_generation(1, node=N2, text="t1")
    await publish(store, *items, shared)
    assert await store.generations.collect(keep=2) == 2
    assert [each.generation for each in await store.generations.history(N1)] == [4, 3]
    # generation 1 of the first node is gone, but the second node's has the same content
    named = digests_of(items[2]) | digests_of(items[3]) | digests_of(shared)
    assert set(await rows_of_payloads(store)) == named
    assert digests_of(items[1]) - named


async def test_collecting_again_finds_nothing(store):
    await add_nodes(store, N1)
    await publish(store, new_generation(1), new_generation(2))
    assert await store.generations.collect(keep=1) == 1
    assert await store.generations.collect(keep=1) == 0


async def test_the_keys_of_a_removed_node_go_too(store):
    await add_nodes(store, N1, N2)
    await publish(store, new_generation(1, text="own"), new_generation(1, node=N2))
    await store.generations.collect()
    await store.nodes.remove(N1)
    assert await store.generations.collect() == 0
    assert set(await rows_of_payloads(store)) == digests_of(new_generation(1, node=N2))


async def test_what_is_published_while_collecting_keeps_its_payloads(store, monkeypatch):
    await add_nodes(store, N1, N2)
    back = new_generation(1, text="back")
    await publish(store, back, new_generation(2, text="new"))
    read = module._named
    published = False

    async def publish_in_between(connection, owners):
        nonlocal published
        found = await read(connection, owners)
        if not published:
            published = True
            again = new_generation(1, node=N2, text="back")
            # its payloads are in the store, though by now no generation names them
            bare = type(again)(**{**{n: getattr(again, n) for n in again.__slots__}, "payloads": {}})
            await publish(store, bare)
        return found

    monkeypatch.setattr(module, "_named", publish_in_between)
    await store.generations.collect(keep=1)
    assert set(await store.generations.payloads(digests_of(back))) == digests_of(back)


def copy_of(old: int, number: int):
    item = new_generation(number)
    given = {name: getattr(item, name) for name in item.__slots__}
    return type(item)(**{**given, "payloads": {}, "copies": old, "superseded_digest": "f" * 64})


async def test_older_content_is_published_again_as_long_as_it_is_there(store):
    await add_nodes(store, N1)
    await publish(store, new_generation(1), new_generation(2, text="other"))
    await publish(store, copy_of(1, 3))
    record = await store.generations.get(N1, number=3)
    assert (record.digest, record.superseded_digest) == (new_generation(1).digest, "f" * 64)
    with pytest.raises(NotFoundError, match="no generation 9"):
        await publish(store, copy_of(9, 4))
    await store.generations.collect(keep=1)
    assert set(await rows_of_payloads(store)) == digests_of(new_generation(1))
    with pytest.raises(NotFoundError, match="no generation 1"):
        await publish(store, copy_of(1, 4))


async def test_one_generation_of_each_of_many_nodes_is_read_at_once(store):
    await add_nodes(store, N1, N2)
    await publish(store, new_generation(1), new_generation(2, text="b"), new_generation(1, node=N2))
    found = await store.generations.some({N1: 2, N2: 1, NodeName("n3"): 1})
    assert {name: record.generation for name, record in found.items()} == {N1: 2, N2: 1}
    assert await store.generations.some({}) == {}
