"""Whoever can write the database tries to hide what was done; whoever can reach the ports tries to fill the log."""

import asyncio
import json
import logging
import resource
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from alembic import command

from common.api.codes import Fault, Kept, Role
from common.errors import AccessError, EnrolmentError, InvalidInputError, StorageError
from common.runtime import log as logs
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.enrolment import EnrolRequest
from manager.channel.enrolment import Enrolment
from manager.domain.alarms import AlarmKind
from manager.domain.attempts import NAMED_MAX, PAIRS_MAX, Attempt, Attempts
from manager.store.audit import CHAIN_KEY, HEAD, PAGE, RESTORED
from manager.store.chain import parse_signed_head, unkeyed
from manager.store.engine import DATABASE_FILE
from manager.store.inventory import Inventories
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.usecases import heads
from manager.usecases.context import Context
from manager.usecases.node_keys import NodeKeyOperations
from manager.usecases.usecases import Operations
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace
from tests.unit.usecases.test_alarms import NoNodes

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
        last = unkeyed(last, number, values)
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
    async with store.together():
        for number in range(count):
            await store.audit.append(at_s=at_s, actor="ann", action="node.removed", subject=f"node n{number}")


@pytest.fixture
async def directory(tmp_path: Path, keyring: Keyring) -> Path:
    """A store with five entries, which nobody has open."""
    store = await Store.create(tmp_path / "data", keyring)
    await act(store)
    await store.close()
    return tmp_path / "data"


def altered(directory: Path, attack: Attack) -> None:
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw, raw:
        attack(raw)


@pytest.mark.parametrize("cut", CUTS)
async def test_what_is_cut_or_made_anew_without_the_key_shows_at_once_and_for_good(
    directory: Path, keyring: Keyring, cut: str, record_property
):
    altered(directory, CUTS[cut])
    store = await Store.open(directory, keyring)
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
    store = await Store.open(directory, keyring)
    assert (await store.audit.verify()).broken_at is not None
    await store.close()


async def test_an_older_copy_of_the_whole_store_is_told_by_a_head_that_was_kept(
    directory: Path, keyring: Keyring, tmp_path: Path
):
    shutil.copytree(directory, tmp_path / "older")
    store = await Store.open(directory, keyring)
    await act(store)
    signed = await store.audit.signed_head(at_s=9.0)
    await store.close()
    assert signed is not None
    kept = parse_signed_head(f"2026-01-01T00:00:00+00:00 {signed.text}\n")
    store = await Store.open(directory, keyring)
    assert (await store.audit.verify(kept=kept)).kept is Kept.HELD
    await store.close()
    store = await Store.open(tmp_path / "older", keyring)
    assert (await store.audit.verify(kept=kept)).kept is Kept.LOST
    await act(store, 6, at_s=2.5)
    assert (await store.audit.verify(kept=kept)).kept is Kept.LOST
    await store.close()


async def test_a_store_made_anew_is_told_by_a_head_that_was_kept(
    directory: Path, keyring: Keyring, tmp_path: Path
):
    store = await Store.open(directory, keyring)
    signed = await store.audit.signed_head(at_s=9.0)
    await store.close()
    assert signed is not None
    store = await Store.create(tmp_path / "anew", keyring)
    await act(store)
    assert (await store.audit.verify(kept=signed)).kept is Kept.FOREIGN
    await store.close()


async def test_what_the_store_keeps_or_hands_out_of_one_head_is_no_proof_of_another(
    directory: Path, keyring: Keyring
):
    store = await Store.open(directory, keyring)
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
    store = await Store.open(directory, keyring)
    assert (await store.audit.verify()).fault is Fault.HEAD
    await store.close()


@pytest.mark.parametrize("text", ["", "certcast-audit-1:5:5:9", "x" * 100_000])
def test_what_is_no_head_is_refused_with_what_one_looks_like(text: str):
    with pytest.raises(InvalidInputError, match="certcast-audit-1:COUNT"):
        parse_signed_head(text)


@pytest.fixture
async def before(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the schema before, with 2,500 entries in its chain of hashes."""
    directory, to_head = tmp_path / "before", command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0009"))
        await (await Store.create(directory, keyring)).close()

    def fill(raw: sqlite3.Connection) -> None:
        last = "0" * 64
        for number in range(1, 2501):
            values = {"at_s": 1.5, "actor": "ann", "action": "a", "subject": f"s{number}", "detail": "null"}
            last = unkeyed(last, number, values)
            raw.execute(
                "INSERT INTO audit (id, at_s, actor, action, subject, detail, chain) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, *values.values(), last),
            )
        raw.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (HEAD, last.encode()))

    altered(directory, fill)
    return directory


async def test_a_log_from_before_is_sealed_at_the_upgrade_and_its_old_hashes_stay_good(
    before: Path, keyring: Keyring
):
    with closing(sqlite3.connect(before / DATABASE_FILE)) as raw:
        (noted,) = raw.execute("SELECT chain FROM audit WHERE id = 1200").fetchone()
    store = await Store.open(before, keyring)
    found = await store.audit.verify(noted=noted)
    assert (found.fault, found.broken_at, found.count, found.noted) == (Fault.NONE, None, 2501, True)
    (latest,) = await store.audit.list(limit=1)
    assert (latest.action, json.loads(latest.detail)["broken_at"]) == ("audit.sealed", None)
    await store.close()
    altered(before, lambda raw: raw.execute("UPDATE audit SET unkeyed = '' WHERE id = 1200"))
    store = await Store.open(before, keyring)
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
    store = await Store.open(before, keyring)
    (latest,) = await store.audit.list(limit=1)
    assert json.loads(latest.detail)["broken_at"] == broken_at
    await store.close()


async def test_verifying_a_long_log_holds_a_page_of_it_and_leaves_the_loop_to_others(
    directory: Path, keyring: Keyring, record_property
):
    store = await Store.open(directory, keyring)
    for _ in range(10):
        await act(store, 500)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        found = await store.audit.verify()
        ticking.cancel()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    record_property(
        "measured", f"{found.count} entries, {ticks} turns of the loop meanwhile, {grown_kib} KiB"
    )
    assert found.count == 5005
    assert ticks > found.count / PAGE
    assert grown_kib < 16 * 1024
    await store.close()


def test_two_hundred_thousand_failed_attempts_are_one_entry_of_bounded_size(record_property):
    attempts = Attempts()
    for number in range(20_000):
        attempts.count(Attempt.SIGN_IN_FAILED, name=f"{number}" * 40, source=f"address {number}", now_s=1.0)
    for _ in range(180_000):
        attempts.count(Attempt.SIGN_IN_FAILED, name="admin", source="192.0.2.1", now_s=2.0)
    assert sum(len(pairs) for pairs in attempts._counts.values()) == PAIRS_MAX
    (summary,) = attempts.take()
    written = len(json.dumps(summary.detail))
    record_property("written_bytes", written)
    assert summary.detail["attempts"] == 200_000
    assert len(summary.detail["by"]) == NAMED_MAX
    assert sum(each["attempts"] for each in summary.detail["by"]) + summary.detail["more"] == 200_000
    assert written < 8 * 1024
    assert attempts.take() == []


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
    store = await Store.open(directory, keyring)
    found = await store.audit.verify()
    assert found.broken_at is not None
    assert found.fault is not Fault.NONE
    if "bytes in" not in how:
        assert await store.audit.find_fault()
    await store.close()


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


@pytest.mark.parametrize("kept_in", ["witness", "file"])
async def test_an_old_head_that_is_put_back_with_its_entries_does_not_verify_against_what_was_shipped(
    directory: Path, keyring: Keyring, tmp_path: Path, kept_in: str, record_property
):
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
        _, head = _parts(raw)
    witness, file = tmp_path / "witness", tmp_path / "heads"

    async def start() -> Operations:
        store = await Store.open(directory, keyring)
        context = Context(
            store=store,
            inventories=Inventories(store),
            fleet=FakeFleet(),
            workers=InPlace(),
            clock=lambda: 100.0,
        )
        made = Operations(context)
        made.audit.keep_heads_in(witness, file)
        return made

    operations = await start()
    await act(operations._context.store, 3)
    assert await operations.audit.compare() is None
    shipped = await operations.audit.ship(witness, file, shipped=None)
    assert (await operations.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    await operations._context.store.close()

    altered(directory, _put_back(head))
    (file if kept_in == "witness" else witness).unlink()
    for _ in range(2):
        # more entries than there were, and another start, do not hide it
        operations = await start()
        lost = await operations.audit.compare()
        assert lost is not None
        assert lost.head == shipped
        assert await operations._context.store.audit.find_fault() is Fault.SHIPPED
        found = await operations.audit.verify(noted=None, kept=None)
        assert (found.fault, found.broken_at is not None) == (Fault.SHIPPED, True)
        await act(operations._context.store, 10, at_s=2.5)
        await operations.audit.ship(witness, file, shipped=None)
        await operations._context.store.close()
    record_property("found", f"{found.fault} after {found.count} entries")
    # an operator who restored a backup says so, once, and that is in the log
    operations = await start()
    await operations._context.store.audit.append(
        at_s=200.0, actor="console", action=RESTORED, subject="epoch 2"
    )
    await operations._context.store.close()
    operations = await start()
    assert await operations.audit.compare() is None
    assert (await operations.audit.verify(noted=None, kept=None)).fault is Fault.NONE
    await operations._context.store.close()


async def test_a_store_that_is_rolled_back_while_the_manager_runs_is_an_alarm(
    operations: Operations, directory: Path, tmp_path: Path
):
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
        _, head = _parts(raw)
    witness, context = tmp_path / "witness", operations._context
    await act(context.store, 3)
    shipped = await operations.audit.ship(witness, None, shipped=None)
    altered(directory, _put_back(head))
    await act(context.store, 1, at_s=2.5)
    await operations.audit.ship(witness, None, shipped=shipped)
    await operations.alarms.evaluate(NoNodes())
    kinds = {each.subject.kind for each in await operations.alarms.active()}
    assert AlarmKind.AUDIT_LOG_BROKEN in kinds
    await context.store.close()


@pytest.fixture
async def operations(directory: Path, keyring: Keyring) -> Operations:
    store = await Store.open(directory, keyring)
    context = Context(
        store=store, inventories=Inventories(store), fleet=FakeFleet(), workers=InPlace(), clock=lambda: 100.0
    )
    return Operations(context)


async def test_a_log_that_was_cut_is_an_alarm_that_a_later_entry_does_not_lower(
    operations: Operations, directory: Path
):
    context, fleet = operations._context, NoNodes()
    await operations.alarms.evaluate(fleet)
    assert AlarmKind.AUDIT_LOG_BROKEN not in {each.subject.kind for each in await operations.alarms.active()}
    altered(directory, CUTS["the tail and the head"])
    for _ in range(2):
        await operations.alarms.evaluate(fleet)
        (alarm,) = [
            each
            for each in await operations.alarms.active()
            if each.subject.kind is AlarmKind.AUDIT_LOG_BROKEN
        ]
        assert alarm.trait.level == "error"
        await act(context.store, 1)
    await context.store.close()


async def test_failed_sign_ins_are_in_the_log_with_who_was_named_and_from_where(operations: Operations):
    context = operations._context
    await operations.users.add("anna", role=Role.OPERATOR, password="correct horse battery", actor="test")
    for _ in range(3):
        with pytest.raises(AccessError):
            await operations.users.by_password("anna", "wrong", address="192.0.2.7")
    with pytest.raises(AccessError):
        await operations.users.by_token("cct_wrong", address="192.0.2.8")
    with pytest.raises(AccessError):
        await operations.clients.by_token("wrong", address="192.0.2.8")
    await operations.audit.record_attempts()
    await operations.audit.record_attempts()
    (entry,) = await context.store.audit.list(action="sign_in.failed")
    told = {(each["name"], each["source"]): each["attempts"] for each in json.loads(entry.detail)["by"]}
    assert told == {("anna", "192.0.2.7"): 3, ("", "192.0.2.8"): 2}
    assert entry.actor == "unknown"
    await context.store.close()


async def test_refused_joins_and_rotations_are_in_the_log_with_who_was_named_and_from_where(
    operations: Operations,
):
    context = operations._context
    enrolment = Enrolment(NodeKeyOperations(context), host_keys=["ssh-ed25519 A"], epoch=1)
    for proof in (b"", b"no proof"):
        request = EnrolRequest(node="conf1", secret="guessed", agent_version="1", proof=proof)
        with pytest.raises(EnrolmentError):
            await enrolment.enrol(request, "192.0.2.9", public_line(load_key(generate_key())))
    await operations.audit.record_attempts()
    found = {each.action: each for each in await context.store.audit.list(subject="node conf1")}
    assert set(found) == {"join.refused", "key_rotation.refused"}
    (told,) = json.loads(found["join.refused"].detail)["by"]
    assert (told["name"], told["source"], told["attempts"]) == ("conf1", "192.0.2.9", 1)
    await context.store.close()


@pytest.mark.parametrize("level", ["info", "warning", "error"])
async def test_heads_are_in_the_log_whatever_its_level_is(
    operations: Operations, level: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(style="json", level=level)
        heads.always_tell()
        await operations.audit.ship(tmp_path / "witness", None, shipped=None)
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert (await operations.audit.verify(noted=None, kept=line)).kept is Kept.HELD
    await operations._context.store.close()


async def test_heads_go_into_a_file_that_grows_only_each_on_disk_and_good_for_verification(
    operations: Operations, tmp_path: Path
):
    witness, file = tmp_path / "witness", tmp_path / "heads"
    shipped = await operations.audit.ship(witness, file, shipped=None)
    assert await operations.audit.ship(witness, file, shipped=shipped) == shipped
    await act(operations._context.store, 1)
    await operations.audit.ship(witness, file, shipped=shipped)
    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    for line in lines:
        assert (await operations.audit.verify(noted=None, kept=line)).kept is Kept.HELD
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        await operations.audit.ship(witness, link, shipped=None)
    await operations._context.store.close()
