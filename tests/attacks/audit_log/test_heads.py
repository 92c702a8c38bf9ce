"""A head that was kept elsewhere tells that an older copy was put back."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.api.codes import Fault, Kept
from common.errors import InvalidInputError
from common.ids import NodeName
from manager.domain.renewal.records import ChallengeKind
from manager.store.audit import HEAD, RESTORED, WITNESSED
from manager.store.chain import parse_signed_head
from manager.store.inventory import Inventories
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.usecases import heads
from manager.usecases.context import Context
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests.attacks.audit_log.conftest import _parts, _put_back, act, altered, opened_use_cases
from tests.daemon_logging import daemon_logging
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace


async def test_an_older_copy_of_the_whole_store_is_told_by_a_head_that_was_kept(
    directory: Path, keyring: Keyring, tmp_path: Path
):
    shutil.copytree(directory, tmp_path / "older")
    store = await Store.open(StorePlace(directory, None), keyring)
    await act(store)
    signed = await store.audit.signed_head(at_s=9.0)
    await store.close()
    assert signed is not None
    kept = parse_signed_head(f"2026-01-01T00:00:00+00:00 {signed.text}\n")
    store = await Store.open(StorePlace(directory, None), keyring)
    assert (await store.audit.verify(kept=kept)).kept is Kept.HELD
    await store.close()
    store = await Store.open(StorePlace(tmp_path / "older", None), keyring)
    assert (await store.audit.verify(kept=kept)).kept is Kept.LOST
    await act(store, 6, at_s=2.5)
    assert (await store.audit.verify(kept=kept)).kept is Kept.LOST
    await store.close()


async def test_a_store_made_anew_is_told_by_a_head_that_was_kept(
    directory: Path, keyring: Keyring, tmp_path: Path
):
    store = await Store.open(StorePlace(directory, None), keyring)
    signed = await store.audit.signed_head(at_s=9.0)
    await store.close()
    assert signed is not None
    store = await Store.create(StorePlace(tmp_path / "anew", None), keyring)
    await act(store)
    assert (await store.audit.verify(kept=signed)).kept is Kept.FOREIGN
    await store.close()


async def test_what_the_store_keeps_or_hands_out_of_one_head_is_no_proof_of_another(
    directory: Path, keyring: Keyring
):
    store = await Store.open(StorePlace(directory, None), keyring)
    signed = await store.audit.signed_head(at_s=9.0)
    assert signed is not None
    for changed in (signed.text.replace("-1:5:", "-1:4:"), signed.text.replace(":9:", ":8:")):
        assert (await store.audit.verify(kept=parse_signed_head(changed))).kept is Kept.FOREIGN
    await store.close()
    # the signature that was handed out does not pass for the one that the store keeps
    facts = [signed.head.count, signed.head.last_id, signed.head.chain, False, signed.mac]
    altered(
        directory,
        lambda raw: raw.execute(
            "UPDATE meta SET value = ? WHERE name = ?", (json.dumps(facts).encode(), HEAD)
        ),
    )
    store = await Store.open(StorePlace(directory, None), keyring)
    assert (await store.audit.verify()).fault is Fault.HEAD
    await store.close()


@pytest.mark.parametrize("text", ["", "certcast-audit-1:5:5:9", "x" * 100_000])
def test_what_is_no_head_is_refused_with_what_one_looks_like(text: str):
    with pytest.raises(InvalidInputError, match="certcast-audit-1:COUNT"):
        parse_signed_head(text)


@pytest.mark.parametrize("kept_in", ["witness", "file"])
async def test_an_old_head_that_is_put_back_with_its_entries_does_not_verify_against_what_was_shipped(
    directory: Path, keyring: Keyring, tmp_path: Path, kept_in: str, record_property
):
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
        _, head = _parts(raw)
    witness, file = tmp_path / "witness", tmp_path / "heads"

    async def start() -> UseCases:
        made = await opened_use_cases(directory, keyring)
        made.audit.keep_heads_in(witness, file)
        return made

    use_cases = await start()
    await act(use_cases._context.store, 3)
    assert await use_cases.audit.compare() is None
    shipped = await use_cases.audit.ship(witness, file, shipped=None)
    assert (await use_cases.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    await use_cases._context.store.close()

    altered(directory, _put_back(head))
    (file if kept_in == "witness" else witness).unlink()
    for _ in range(2):
        # more entries than there were, and another start, do not hide it
        use_cases = await start()
        lost = await use_cases.audit.compare()
        assert lost is not None
        assert lost.head == shipped
        assert await use_cases._context.store.audit.find_fault() is Fault.SHIPPED
        found = await use_cases.audit.verify(noted=None, kept=None)
        assert (found.fault, found.broken_at is not None) == (Fault.SHIPPED, True)
        await act(use_cases._context.store, 10, at_s=2.5)
        await use_cases.audit.ship(witness, file, shipped=None)
        await use_cases._context.store.close()
    record_property("found", f"{found.fault} after {found.count} entries")
    # an operator who restored a backup says so, once, and that is in the log
    use_cases = await start()
    await use_cases._context.store.audit.append(
        at_s=200.0, actor="console", action=RESTORED, subject="epoch 2"
    )
    await use_cases._context.store.close()
    use_cases = await start()
    assert await use_cases.audit.compare() is None
    assert (await use_cases.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    await use_cases._context.store.close()


@pytest.mark.parametrize("at_s", [9e12, 1.5])
async def test_an_entry_that_only_claims_that_the_store_was_restored_excuses_no_head(
    directory: Path, keyring: Keyring, at_s: float
):
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
        _, head = _parts(raw)
    store = await Store.open(StorePlace(directory, None), keyring)
    await act(store, 3)
    kept = await store.audit.signed_head(at_s=1.0)
    await store.close()
    assert kept is not None
    altered(directory, _put_back(head))
    forged = f"UPDATE audit SET action = '{RESTORED}', at_s = {at_s} WHERE id = 2"
    altered(directory, lambda raw: raw.execute(forged))
    store = await Store.open(StorePlace(directory, None), keyring)
    assert await store.audit.compare([kept]) == kept
    assert await store.audit.find_fault() is Fault.SHIPPED
    await store.close()


async def test_an_entry_that_only_claims_that_the_store_was_restored_excuses_no_witness_that_is_gone(
    directory: Path, keyring: Keyring
):
    store = await Store.open(StorePlace(directory, None), keyring)
    await store.audit.append(at_s=1.0, actor="manager", action=WITNESSED, subject="audit-head")
    await act(store, 2)
    await store.close()
    for forged in (RESTORED, WITNESSED):
        row = f"UPDATE audit SET action = '{forged}' WHERE id = 7"
        altered(directory, lambda raw, row=row: raw.execute(row))
        store = await Store.open(StorePlace(directory, None), keyring)
        assert await store.audit.has_witness("audit-head")
        await store.close()


@pytest.mark.parametrize("gone", ["removed", "emptied", "garbled"])
async def test_a_witness_that_is_gone_breaks_the_log_until_the_store_is_said_to_be_restored(
    directory: Path, keyring: Keyring, tmp_path: Path, gone: str
):
    witness = tmp_path / "witness"

    async def start() -> tuple[UseCases, Store]:
        made = await opened_use_cases(directory, keyring)
        made.audit.keep_heads_in(witness, None)
        return made, made._context.store

    use_cases, store = await start()
    # an upgrade: there was none before, and none is missed
    assert await use_cases.audit.compare() is None
    assert await store.audit.find_fault() is Fault.NONE
    shipped = await use_cases.audit.ship(witness, None, shipped=None)
    assert heads.read(witness)[0].head == shipped
    if gone == "removed":
        witness.unlink()
    else:
        witness.write_text("" if gone == "emptied" else "x" * 100)
    # while it runs, though nothing is written, and after each start, though more is
    await use_cases.audit.ship(witness, None, shipped=shipped)
    for _ in range(2):
        assert await store.audit.find_fault() is Fault.WITNESS
        found = await use_cases.audit.verify(noted=None, kept=None)
        assert (found.fault, found.broken_at is not None) == (Fault.WITNESS, True)
        await act(store, 3, at_s=2.5)
        await use_cases.audit.ship(witness, None, shipped=None)
        assert not heads.read(witness)
        await store.close()
        use_cases, store = await start()
        await use_cases.audit.compare()
    await store.audit.append(at_s=200.0, actor="console", action=RESTORED, subject="epoch 2")
    await store.close()
    use_cases, store = await start()
    assert await use_cases.audit.compare() is None
    assert (await use_cases.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    assert await use_cases.audit.ship(witness, None, shipped=None)
    assert heads.read(witness)
    assert (await use_cases.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    await store.close()


@pytest.mark.parametrize("level", ["info", "warning", "error"])
async def test_heads_are_in_the_log_whatever_its_level_is(
    use_cases: UseCases, level: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with daemon_logging(style="json", level=level):
        heads.always_tell()
        await use_cases.audit.ship(tmp_path / "witness", None, shipped=None)
    (line,) = capsys.readouterr().err.splitlines()
    assert (await use_cases.audit.verify(noted=None, kept=line)).kept is Kept.HELD
    await use_cases._context.store.close()


async def test_heads_go_into_a_file_that_grows_only_each_on_disk_and_good_for_verification(
    use_cases: UseCases, tmp_path: Path
):
    witness, file = tmp_path / "witness", tmp_path / "heads"
    shipped = await use_cases.audit.ship(witness, file, shipped=None)
    assert await use_cases.audit.ship(witness, file, shipped=shipped) == shipped
    await act(use_cases._context.store, 1)
    await use_cases.audit.ship(witness, file, shipped=shipped)
    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    for line in lines:
        assert (await use_cases.audit.verify(noted=None, kept=line)).kept is Kept.HELD
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        await use_cases.audit.ship(witness, link, shipped=None)
    await use_cases._context.store.close()


async def test_each_manager_of_a_store_keeps_a_head_of_its_own_and_misses_only_that(
    directory: Path, keyring: Keyring, tmp_path: Path
):
    stores: list[Store] = []

    async def start(name: str) -> tuple[UseCases, Path]:
        stores.append(await Store.open(StorePlace(directory, None), keyring))
        context = Context(
            store=stores[-1],
            inventories=Inventories(stores[-1]),
            fleet=FakeFleet(),
            workers=InPlace(),
            own_node=NodeName(name),
            clock=lambda: 100.0,
        )
        made, witness = (
            UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind)),
            tmp_path / name / "audit-head",
        )
        witness.parent.mkdir(exist_ok=True)
        made.audit.keep_heads_in(witness, None)
        return made, witness

    first, here = await start("management")
    await first.audit.ship(here, None, shipped=None)
    second, there = await start("management-2")
    assert await second.audit.compare() is None
    await second.audit.ship(there, None, shipped=None)
    assert [await store.audit.find_fault() for store in stores] == [Fault.NONE, Fault.NONE]
    assert heads.read(there)
    there.unlink()
    await first.audit.compare()
    await second.audit.compare()
    assert [await store.audit.find_fault() for store in stores] == [Fault.NONE, Fault.WITNESS]
    for store in stores:
        await store.close()
