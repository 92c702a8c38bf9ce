import pytest

from common.api.codes import Role
from common.errors import ConflictError, NotFoundError
from manager.domain.model import UserRecord
from tests.unit.store.given import NOW_S

TOKEN = "a" * 64


async def add(store, name="ann", role=Role.OPERATOR) -> UserRecord:
    return await store.users.add(name, role, password_hash=f"hash of {name}", now_s=NOW_S)


async def add_token(store, token=TOKEN, name="ann", expires_s=NOW_S + 60, now_s=NOW_S) -> None:
    await store.users.add_token(
        name, token_hash=token, label="ci", scope="operator", expires_s=expires_s, now_s=now_s, most=3
    )


async def owner_of(store, token=TOKEN, now_s=NOW_S) -> UserRecord | None:
    found = await store.users.owner_of_token(token, now_s=now_s)
    return None if found is None else found[0]


async def test_a_user_comes_back_with_the_hash_of_the_password(store):
    record = await add(store)
    assert record == UserRecord(id=record.id, name="ann", role=Role.OPERATOR, created_s=NOW_S)
    assert await store.users.get("ann") == (record, "hash of ann")
    assert await store.users.list() == [record]


async def test_a_name_is_given_once(store):
    await add(store)
    with pytest.raises(ConflictError, match="a user 'ann' already exists"):
        await add(store, role=Role.ADMINISTRATOR)


async def test_a_password_is_replaced(store):
    record = await add(store)
    await store.users.set_password("ann", "other hash")
    assert await store.users.get("ann") == (record, "other hash")


async def test_a_missing_user_is_named(store):
    for act in (
        store.users.get("ann"),
        store.users.remove("ann"),
        store.users.set_password("ann", "hash"),
        add_token(store),
    ):
        with pytest.raises(NotFoundError, match="no user 'ann'"):
            await act


async def test_a_token_is_its_users_until_it_expires(store):
    record = await add(store)
    await add_token(store)
    assert await owner_of(store, now_s=NOW_S + 59) == record
    assert await owner_of(store, now_s=NOW_S + 60) is None
    assert await owner_of(store, "b" * 64) is None


async def test_a_removed_users_tokens_are_nobodys(store):
    await add(store)
    await add_token(store)
    await store.users.remove("ann")
    assert await owner_of(store, now_s=NOW_S) is None
    await add(store)
    assert await owner_of(store, now_s=NOW_S) is None


async def test_expired_tokens_do_not_pile_up(store):
    record = await add(store)
    await add_token(store)
    # the same hash could not be kept twice
    await add_token(store, now_s=NOW_S + 60, expires_s=NOW_S + 120)
    assert await owner_of(store, now_s=NOW_S + 60) == record
