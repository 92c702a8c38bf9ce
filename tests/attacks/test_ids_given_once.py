"""A number that was given once names one thing for ever: what remembers it (audit log, scripts, open pages) never means another."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Integer

from common.ids import NodeName
from manager.domain.callers import Maker
from manager.domain.model import Role
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.store.tables import metadata

NUMBERED = sorted(
    table.name
    for table in metadata.sorted_tables
    if [column.name for column in table.primary_key] == ["id"] and isinstance(table.c.id.type, Integer)
)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(secrets.token_bytes(32))


async def new(directory: Path, keyring: Keyring, _monkeypatch: pytest.MonkeyPatch) -> Store:
    return await Store.create(StorePlace(directory, None), keyring)


async def upgraded(directory: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Open a store of the schema before, which has a user and a node with two tokens each."""
    to_head = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0011"))
        await (await Store.create(StorePlace(directory, None), keyring)).close()
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw, raw:
        raw.execute(
            'INSERT INTO "user" (id, name, role, password_hash, created_s) VALUES (7, "ann", "administrator", "", 1)'
        )
        raw.execute(
            "INSERT INTO node (id, name, kind, names, addresses, created_s) VALUES (7, 'n7', 'node', '[]', '[]', 1)"
        )
        for number in (8, 9):
            raw.execute(
                "INSERT INTO api_token (id, user_id, token_hash, label, created_s, expires_s, scope)"
                " VALUES (?, 7, ?, 'label', 1, 1e12, 'read-only')",
                (number, f"hash {number}"),
            )
            raw.execute(
                "INSERT INTO join_token (id, node_id, secret_hash, created_s, expires_s, created_by)"
                " VALUES (?, 7, ?, 1, 1e12, 'ann')",
                (number, f"hash {number}"),
            )
    return await Store.open(StorePlace(directory, None), keyring)


@pytest.mark.parametrize("make", [new, upgraded])
async def test_no_table_gives_a_number_again(tmp_path: Path, keyring: Keyring, monkeypatch, make):
    store = await make(tmp_path / "data", keyring, monkeypatch)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE)) as raw:
        made = dict(raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    again = [name for name in NUMBERED if "AUTOINCREMENT" not in made[name].upper()]
    print(f"{len(NUMBERED)} tables give numbers, {len(again)} of them give one again: {again}")
    assert len(NUMBERED) >= 11
    assert again == []


@pytest.mark.parametrize("make", [new, upgraded])
async def test_a_token_never_has_the_number_of_one_that_was_revoked(
    tmp_path: Path, keyring: Keyring, monkeypatch, make
):
    store = await make(tmp_path / "data", keyring, monkeypatch)
    name = NodeName("n1")
    await store.users.add("bob", Role.OPERATOR, password_hash="", now_s=1.0)
    await store.nodes.add(name, "node", names=[], addresses=[], now_s=1.0)
    seen: dict[str, list[int]] = {"API": [each.id for each in await store.users.tokens(None, now_s=2.0)]}
    seen["join"] = [each.id for each in await store.nodes.join_tokens(None, now_s=2.0)]
    assert all(seen.values()) == (make is upgraded), "what was there has its number still"
    for turn in range(3):
        await store.users.add_token(
            "bob", token_hash=f"{turn}", label="", scope="read-only", expires_s=9.0, now_s=1.0, most=20
        )
        await store.nodes.add_join_token(
            name, secret_hash=f"{turn}", created_by="", maker=Maker(), expires_s=9.0, now_s=1.0
        )
        (token,) = await store.users.tokens("bob", now_s=2.0)
        (join,) = await store.nodes.join_tokens(name, now_s=2.0)
        assert token.id not in seen["API"]
        assert join.id not in seen["join"]
        seen["API"].append(token.id)
        seen["join"].append(join.id)
        await store.users.remove_token(token.id, name=None)
        await store.nodes.remove_join_token(name, join.id)
    await store.close()
