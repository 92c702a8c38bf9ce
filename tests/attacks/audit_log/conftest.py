"""A store with an audit log, and those who alter it."""

import json
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from common.ids import MANAGEMENT_NODE
from manager.domain.renewal.records import ChallengeKind
from manager.store.audit import CHAIN_KEY, HEAD
from manager.store.chain import hash_unkeyed
from manager.store.inventory import Inventories
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace

Attack = Callable[[sqlite3.Connection], object]


def _move_head(raw: sqlite3.Connection) -> None:
    """Cut the tail, and say in the head what is public of the entry that is the last one now."""
    raw.execute("DELETE FROM audit WHERE id > 3")
    (chain,) = raw.execute("SELECT chain FROM audit WHERE id = 3").fetchone()
    (stored,) = raw.execute("SELECT value FROM meta WHERE name = ?", (HEAD,)).fetchone()
    mac = json.loads(stored)[-1]
    moved = json.dumps([3, 3, chain, False, mac]).encode()
    raw.execute("UPDATE meta SET value = ? WHERE name = ?", (moved, HEAD))


def _rehash(raw: sqlite3.Connection) -> None:
    """Change who did it, and make the chain anew as it was made when it had no key."""
    raw.execute("UPDATE audit SET actor = 'somebody else' WHERE id = 2")
    last = "0" * 64
    for number, at_s, actor, action, subject, detail in raw.execute(
        "SELECT id, at_s, actor, action, subject, detail FROM audit ORDER BY id"
    ).fetchall():
        values = {"at_s": at_s, "actor": actor, "action": action, "subject": subject, "detail": detail}
        last = hash_unkeyed(last, number, values)
        raw.execute("UPDATE audit SET chain = ? WHERE id = ?", (last, number))
    raw.execute("UPDATE meta SET value = ? WHERE name = ?", (last.encode(), HEAD))


CUTS: dict[str, Attack] = {
    "the tail": lambda raw: raw.execute("DELETE FROM audit WHERE id > 3"),
    "the tail and the head": lambda raw: raw.executescript(
        f"DELETE FROM audit WHERE id > 3; DELETE FROM meta WHERE name = '{HEAD}'"
    ),
    "everything": lambda raw: raw.executescript(
        f"DELETE FROM audit; DELETE FROM meta WHERE name = '{HEAD}'; DELETE FROM sqlite_sequence"
    ),
    "everything but the head": lambda raw: raw.execute("DELETE FROM audit"),
    "the chain key": lambda raw: raw.execute("DELETE FROM meta WHERE name = ?", (CHAIN_KEY,)),
    "the tail, with the head moved": _move_head,
    "an entry, with all hashes made anew": _rehash,
    "an entry that is added": lambda raw: raw.execute(
        "INSERT INTO audit (at_s, actor, action, subject, detail, chain, unkeyed)"
        " SELECT at_s, actor, action, subject, detail, chain, '' FROM audit WHERE id = 2"
    ),
}


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(secrets.token_bytes(32))


async def act(store: Store, count: int = 5, *, at_s: float = 1.5) -> None:
    async with store.transaction():
        for number in range(count):
            await store.audit.append(at_s=at_s, actor="ann", action="node.removed", subject=f"node n{number}")


@pytest.fixture
async def directory(tmp_path: Path, keyring: Keyring) -> Path:
    """A store with five entries, which nobody has open."""
    store = await Store.create(StorePlace(tmp_path / "data", None), keyring)
    await act(store)
    await store.close()
    return tmp_path / "data"


def altered(directory: Path, attack: Attack) -> None:
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw, raw:
        attack(raw)


@pytest.fixture
async def before(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the schema before, with 2,500 entries in its chain of hashes."""
    directory, to_head = tmp_path / "before", command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0009"))
        await (await Store.create(StorePlace(directory, None), keyring)).close()

    def fill(raw: sqlite3.Connection) -> None:
        last = "0" * 64
        for number in range(1, 2501):
            values = {"at_s": 1.5, "actor": "ann", "action": "a", "subject": f"s{number}", "detail": "null"}
            last = hash_unkeyed(last, number, values)
            raw.execute(
                "INSERT INTO audit (id, at_s, actor, action, subject, detail, chain) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, *values.values(), last),
            )
        raw.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (HEAD, last.encode()))

    altered(directory, fill)
    return directory


def _parts(raw: sqlite3.Connection) -> tuple[list[object], bytes]:
    (head,) = raw.execute("SELECT value FROM meta WHERE name = ?", (HEAD,)).fetchone()
    return raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchall(), head


def _put_back(head: bytes) -> Attack:
    """Put the head of five entries in the place of a later one, and leave nothing of what came after those."""

    def attack(raw: sqlite3.Connection) -> None:
        raw.execute("DELETE FROM audit WHERE id > 5")
        raw.execute("UPDATE sqlite_sequence SET seq = 5 WHERE name = 'audit'")
        raw.execute("UPDATE meta SET value = ? WHERE name = ?", (head, HEAD))

    return attack


@pytest.fixture
async def use_cases(directory: Path, keyring: Keyring) -> UseCases:
    return await opened_use_cases(directory, keyring)


async def opened_use_cases(directory: Path, keyring: Keyring) -> UseCases:
    """What a manager that starts at 100 does with the store."""
    store = await Store.open(StorePlace(directory, None), keyring)
    context = Context(
        store=store,
        inventories=Inventories(store),
        fleet=FakeFleet(),
        workers=InPlace(),
        own_node=MANAGEMENT_NODE,
        clock=lambda: 100.0,
    )
    return UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))
