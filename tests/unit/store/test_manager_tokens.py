"""Tokens of managers in the store."""

import pytest

from common.errors import ConflictError
from manager.store.manager_tokens import LIVE_MAX, ManagerTokenRecord
from manager.store.store import Store


def token(letter: str, *, expires_s: float = 100.0) -> ManagerTokenRecord:
    return ManagerTokenRecord(secret_hash=letter * 64, expires_s=expires_s, tells_database=True)


async def test_a_token_is_found_by_all_of_its_hash(store: Store):
    await store.manager_tokens.add(token("a"), now_s=0)
    assert await store.manager_tokens.find("a" * 64) == token("a")
    assert await store.manager_tokens.find("a" * 63 + "b") is None
    assert await store.manager_tokens.find("b" * 64) is None


async def test_who_used_it_is_remembered_until_it_expires_or_its_node_goes(store: Store):
    for letter in "ab":
        await store.manager_tokens.add(token(letter), now_s=0)
        await store.manager_tokens.use(token(letter), key=f"key {letter}", node=f"management-{letter}")
    found = await store.manager_tokens.find("a" * 64)
    assert (found.key, found.node) == ("key a", "management-a")
    await store.manager_tokens.forget("management-a")
    assert await store.manager_tokens.find("a" * 64) is None
    await store.manager_tokens.add(token("c", expires_s=300), now_s=100)
    assert await store.manager_tokens.find("b" * 64) is None


async def test_only_unused_tokens_that_are_good_are_counted(store: Store):
    for letter in "0123456789"[:LIVE_MAX]:
        await store.manager_tokens.add(token(letter), now_s=0)
    with pytest.raises(ConflictError):
        await store.manager_tokens.add(token("a"), now_s=99)
    await store.manager_tokens.use(token("0"), key="key", node="management-2")
    await store.manager_tokens.add(token("a", expires_s=300), now_s=99)
    await store.manager_tokens.add(token("b", expires_s=300), now_s=100)


async def test_the_numbers_of_managers_only_rise(store: Store):
    assert await store.manager_tokens.number_given() == 1
    await store.manager_tokens.give_number(2)
    assert await store.manager_tokens.number_given() == 2


async def test_values_are_read_by_the_beginning_of_their_names(store: Store):
    for name in ("a:1", "a:2", "A:3", "ab:4", "a_:5"):
        await store.meta.set(name, name.encode())
    assert await store.meta.with_prefix("a:") == {"a:1": b"a:1", "a:2": b"a:2"}
    assert await store.meta.with_prefix("a_") == {"a_:5": b"a_:5"}
