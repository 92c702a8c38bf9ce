"""What is cut, altered or made anew in the audit log without its key does not verify."""

import sqlite3
from pathlib import Path

import pytest

from common.api.codes import Fault
from common.errors import StorageError
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.attacks.audit_log.conftest import CUTS, Attack, act, altered


@pytest.mark.parametrize("cut", CUTS)
async def test_what_is_cut_or_made_anew_without_the_key_shows_at_once_and_for_good(
    directory: Path, keyring: Keyring, cut: str, record_property
):
    altered(directory, CUTS[cut])
    store = await Store.open(StorePlace(directory, None), keyring)
    found = await store.audit.verify()
    record_property("found", f"{found.fault}, broken at {found.broken_at} after {found.count} entries")
    assert found.broken_at is not None
    assert found.fault
    if found.fault is not Fault.ENTRY:
        # what only a walk finds is found by a walk; the rest is an alarm within seconds
        assert await store.audit.find_fault()
    try:
        await act(store, 3)
    except StorageError:
        assert found.fault is Fault.KEY
    assert (await store.audit.verify()).broken_at is not None
    await store.close()
    # a start does not mend it either
    store = await Store.open(StorePlace(directory, None), keyring)
    assert (await store.audit.verify()).broken_at is not None
    await store.close()


def _forged(number: int, **values: object) -> Attack:
    """Put an entry beside the others that is theirs in all but its id, and what else is said."""
    chosen = ", ".join(f"{column} = ?" for column in values) or "actor = actor"

    def attack(raw: sqlite3.Connection) -> None:
        raw.execute(
            "INSERT INTO audit (id, at_s, actor, action, subject, detail, chain, unkeyed)"
            " SELECT ?, at_s, 'somebody else', action, subject, detail, chain, '' FROM audit WHERE id = 5",
            (number,),
        )
        raw.execute(f"UPDATE audit SET {chosen} WHERE id = ?", (*values.values(), number))

    return attack


FORGED: dict[str, Attack] = {
    "the lowest id that there is": _forged(-(2**63)),
    "an id below zero": _forged(-1),
    "the id zero": _forged(0),
    "an id after a gap": _forged(7),
    "the highest id that there is": _forged(2**63 - 1),
    "bytes for a text": _forged(6, detail=b"null"),
    "bytes for a time": _forged(6, at_s=b"1.5"),
    "bytes for a seal": _forged(6, chain=b"\x00"),
    "bytes in an entry that was sealed": lambda raw: raw.execute(
        "UPDATE audit SET subject = CAST(subject AS BLOB) WHERE id = 3"
    ),
    "ids that are moved up": lambda raw: raw.execute("UPDATE audit SET id = id + 1000"),
    "ids that are moved below zero": lambda raw: raw.execute(
        "UPDATE audit SET id = id - 9223372036854775807"
    ),
}


@pytest.mark.parametrize("how", FORGED)
async def test_no_id_and_no_kind_of_value_is_passed_over_by_a_verification(
    directory: Path, keyring: Keyring, how: str
):
    altered(directory, FORGED[how])
    store = await Store.open(StorePlace(directory, None), keyring)
    found = await store.audit.verify()
    assert found.broken_at is not None
    assert found.fault is not Fault.NONE
    if "bytes in" not in how:
        assert await store.audit.find_fault()
    await store.close()
