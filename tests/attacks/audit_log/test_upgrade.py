"""A log from before the seal is sealed at the upgrade, and a break from before is not sealed away."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.api.codes import Fault
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.attacks.audit_log.conftest import altered


async def test_a_log_from_before_is_sealed_at_the_upgrade_and_its_old_hashes_stay_good(
    before: Path, keyring: Keyring
):
    with closing(sqlite3.connect(before / DATABASE_FILE)) as raw:
        (noted,) = raw.execute("SELECT chain FROM audit WHERE id = 1200").fetchone()
    store = await Store.open(StorePlace(before, None), keyring)
    found = await store.audit.verify(noted=noted)
    assert (found.fault, found.broken_at, found.count, found.noted) == (Fault.NONE, None, 2501, True)
    (latest,) = await store.audit.list(limit=1)
    assert (latest.action, json.loads(latest.detail)["broken_at"]) == ("audit.sealed", None)
    await store.close()
    altered(before, lambda raw: raw.execute("UPDATE audit SET unkeyed = '' WHERE id = 1200"))
    store = await Store.open(StorePlace(before, None), keyring)
    assert (await store.audit.verify()).broken_at == 1200
    await store.close()


@pytest.mark.parametrize(
    ("attack", "broken_at"),
    [
        ("UPDATE audit SET actor = 'x' WHERE id = 7", 7),
        ("DELETE FROM audit WHERE id = 7", 8),
        ("DELETE FROM audit WHERE id > 2490", 2491),
    ],
)
async def test_a_break_from_before_the_upgrade_is_not_sealed_away(
    before: Path, keyring: Keyring, attack: str, broken_at: int
):
    altered(before, lambda raw: raw.execute(attack))
    store = await Store.open(StorePlace(before, None), keyring)
    (latest,) = await store.audit.list(limit=1)
    assert json.loads(latest.detail)["broken_at"] == broken_at
    await store.close()
