import asyncio

import pytest

from common.errors import ConflictError, StorageError
from manager.store.store import Store
from manager.store.tables.content import node
from tests.patience import PATIENCE_S
from tests.unit.store.given import N1, N2, add_nodes, new_certificate


async def note(store: Store, subject: str) -> None:
    await store.audit.append(at_s=1.5, actor="ann", action="node.added", subject=subject)


async def kept(store: Store) -> tuple[list[str], list[str]]:
    nodes, acts = await store.nodes.list(), await store.audit.list()
    return [record.name for record in nodes], [act.subject for act in acts]


async def test_a_change_and_its_note_are_kept_together(store):
    async with store.transaction():
        await add_nodes(store, N1)
        await note(store, "one")
    assert await kept(store) == ([N1], ["one"])
    assert (await store.audit.verify()).broken_at is None


async def test_a_note_that_fails_undoes_the_change_that_came_before_it(store, monkeypatch):
    async def full(**_values: object) -> None:
        raise StorageError("the disk is full")

    async def change() -> None:
        async with store.transaction():
            await add_nodes(store, N1)
            await note(store, "one")

    with monkeypatch.context() as patch:
        patch.setattr(store.audit, "append", full)
        with pytest.raises(StorageError):
            await change()
    assert await kept(store) == ([], [])
    await change()
    assert await kept(store) == ([N1], ["one"])


async def test_what_fails_after_a_note_undoes_the_note_and_leaves_the_chain_whole(store):
    await note(store, "before")

    async def change() -> None:
        async with store.transaction():
            await note(store, "one")
            await add_nodes(store, N1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    await note(store, "after")
    assert await kept(store) == ([], ["after", "before"])
    assert (await store.audit.verify()).broken_at is None


async def test_an_error_in_a_part_undoes_the_whole_even_if_it_was_caught(store):
    await add_nodes(store, N1)

    async def change() -> None:
        async with store.transaction():
            await note(store, "one")
            with pytest.raises(ConflictError):
                await add_nodes(store, N2, N1)

    with pytest.raises(StorageError, match="none of it was kept") as caught:
        await change()
    assert isinstance(caught.value.__cause__, ConflictError)
    assert await kept(store) == ([N1], [])


async def test_blocks_within_blocks_are_one_transaction(store):
    async def change(*, fails: bool) -> None:
        async with store.transaction():
            async with store.transaction():
                await add_nodes(store, N1)
            async with store.transaction():
                await note(store, "one")
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change(fails=True)
    assert await kept(store) == ([], [])
    await change(fails=False)
    assert await kept(store) == ([N1], ["one"])


async def test_what_reads_within_sees_what_was_written_so_far_and_others_do_not(store):
    seen: list[tuple[list[str], list[str]]] = []

    async def look() -> None:
        seen.append(await kept(store))

    async with asyncio.timeout(PATIENCE_S), store.transaction():
        await add_nodes(store, N1)
        assert await kept(store) == ([N1], [])
        # started within, it has the block's context, but it is another task
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look())
    assert seen == [([], [])]


async def test_another_task_does_not_join_but_waits_its_turn(store):
    async def change() -> None:
        async with store.transaction():
            # a task that is started within outlives it
            others.create_task(add_nodes(store, N2))
            await add_nodes(store, N1)
            for _ in range(20):
                assert await kept(store) == ([N1], [])
            raise ZeroDivisionError

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as others:
        with pytest.raises(ZeroDivisionError):
            await change()
    assert await kept(store) == ([N2], [])


async def test_a_block_that_is_cancelled_leaves_nothing_and_the_next_one_writes(store):
    inside = asyncio.Event()

    async def change_and_wait() -> None:
        async with store.transaction():
            await add_nodes(store, N1)
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(change_and_wait())
        await inside.wait()
        task.cancel()
    await add_nodes(store, N2)
    assert await kept(store) == ([N2], [])


async def test_content_that_changes_within_raises_the_revision_once_and_only_if_it_is_kept(store):
    before = await store.meta.revision()

    async def change(*, fails: bool) -> None:
        async with store.transaction():
            await store.nodes.add(N1, "node", names=[], addresses=[], now_s=1.0)
            await store.certificates.add(new_certificate(), nodes=[N1], now_s=1.0)
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change(fails=True)
    assert await store.meta.revision() == before
    await change(fails=False)
    assert await store.meta.revision() == before + 1
    async with store.transaction():
        await note(store, "one")
    assert await store.meta.revision() == before + 1


async def test_a_revision_is_not_told_within_because_it_may_yet_be_undone(store):
    async with store.transaction():
        with pytest.raises(RuntimeError):
            await store.meta.revision()
    assert await store.meta.revision() == 0


async def test_a_statement_that_fails_within_is_told_as_ours(store):
    await add_nodes(store, N1)

    async def change() -> None:
        async with store.transaction():
            await note(store, "one")
            async with store._database.write() as connection:
                await connection.execute(node.insert().values(id=1, name="n1"))

    with pytest.raises(ConflictError):
        await change()
    assert await kept(store) == ([N1], [])
