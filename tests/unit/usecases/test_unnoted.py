"""An act that cannot be written into the audit log is not carried out, whichever it is."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from common.api.codes import Format, KeyKind, Role
from common.codes import HostKeyState
from common.errors import StorageError
from common.ids import NodeName
from common.runtime.ssh import generate_key
from manager.domain.alarms import AlarmChanges, AlarmKind, Condition, Subject
from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from manager.domain.renewal.account_fields import AccountChanges, AccountFields
from manager.domain.renewal.records import AccountId, ChallengeKind, Terms
from manager.pki.read.batch import ImportFile
from manager.store.engine import Database
from manager.store.tables import metadata
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.downloads import DownloadOptions
from manager.usecases.renewal.accounts import AccountUseCases
from manager.usecases.renewal.ports import wake_nobody
from manager.usecases.uploads import Edit, Upload
from manager.usecases.usecases import UseCases
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing
from tests.pki import NOW_S, Made, chain_pem, make_intermediate, make_leaf, make_root
from tests.renewals import DIRECTORY, STAGING
from tests.unit.store.given import new_generation
from tests.unit.usecases.conftest import World

ROOT = make_root()
ISSUER = make_intermediate(ROOT)
OTHER = make_root("Other Root")
PASSWORD = "a-long-enough-password"
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
FIRST, SECOND, ANSWER = make_leaf(ISSUER), make_leaf(ISSUER), make_leaf(ISSUER)


def _upload(use_cases: UseCases, made: Made, nodes: list[str]) -> Awaitable[Any]:
    return use_cases.certificates.upload(
        Upload(
            certificate=made.certificate_pem + ISSUER.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=nodes,
            slot="server",
        ),
        actor="ada",
    )


def _files(*made: Made) -> list[ImportFile]:
    return [
        ImportFile("all.pem", (chain_pem(*made, ISSUER, OTHER) + "".join(m.key_pem for m in made)).encode())
    ]


async def _from(state: HostKeyState, use_cases: UseCases, act: Callable[[], Awaitable[Any]]) -> Any:
    """Take a step from this state, all in one transaction."""
    store = use_cases._context.store
    async with store.transaction():
        await store.host_keys.keep(state, generate_key(), None if state == "steady" else generate_key())
        return await act()


async def _present(*_given: object) -> None:
    """Show any key."""


def _accept(_document: object) -> None:
    """Every document will do."""


def _account(name: str) -> AccountFields:
    return AccountFields(name=name, directory_url=DIRECTORY, staging_url=STAGING)


TERMS = Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP, names=("new.example.com",))

ACTS: dict[str, Callable[[UseCases], Awaitable[Any]]] = {
    "users.add": lambda o: o.users.add("cy", role=Role.OPERATOR, password=PASSWORD, actor="ada"),
    "users.set_password": lambda o: o.users.set_password(
        "bob", password="another-long-password", actor="ada"
    ),
    "users.set_role": lambda o: o.users.set_role("bob", role=Role.ADMINISTRATOR, actor="ada"),
    "users.remove_token": lambda o: o.users.remove_token(1, name="bob", actor="ada"),
    "users.remove": lambda o: o.users.remove("bob", actor="ada"),
    "users.new_token": lambda o: o.users.new_token("bob", label="l", days=1, scope=None, actor="ada"),
    "clients.add": lambda o: o.clients.add("two", role=Role.OPERATOR, public_key=PUBLIC_KEY, actor="ada"),
    "clients.add_with_key": lambda o: o.clients.add_with_key("two", api_role_id=3, actor="ada"),
    "clients.change": lambda o: o.clients.change(1, name="another", api_role_id=3, actor="ada"),
    "roles.add": lambda o: o.roles.add("r", ["operate"], actor="ada"),
    "roles.change": lambda o: o.roles.change(4, "another", ["use_api"], actor="ada"),
    "roles.remove": lambda o: o.roles.remove([4], actor="ada"),
    "clients.remove": lambda o: o.clients.remove("one", actor="ada"),
    "alarms.acknowledge": lambda o: o.alarms.acknowledge([1], actor="ada"),
    "csrs.create": lambda o: o.csrs.create(
        replaces=1, changes=CsrChanges(), key=KeyChoice(kind=KeyKind.ECDSAP256), actor="ada"
    ),
    "csrs.answer": lambda o: o.csrs.answer(
        1,
        certificate=ANSWER.certificate_pem + ISSUER.certificate_pem,
        parameters="",
        take_over=True,
        nodes=[],
        slot="server",
        actor="ada",
    ),
    "csrs.delete": lambda o: o.csrs.delete([1], actor="ada"),
    "trust.take": lambda o: o.trust.take(OTHER.certificate_pem, skip_unusable=True, actor="ada"),
    "trust.upload_one": lambda o: o.trust.upload_one(
        OTHER.certificate_pem, trusted_intermediate=True, actor="ada"
    ),
    "trust.edit": lambda o: o.trust.edit(
        1, certificate=OTHER.certificate_pem, trusted_intermediate=None, force=True, actor="ada"
    ),
    "trust.delete": lambda o: o.trust.delete([1], force=True, actor="ada"),
    "certificates.upload": lambda o: _upload(o, SECOND, ["n1"]),
    "certificates.import_files": lambda o: o.certificates.import_files(
        _files(SECOND, ANSWER), passphrase=None, actor="ada"
    ),
    "certificates.edit": lambda o: o.certificates.edit(1, Edit(nodes=["n2"]), actor="ada"),
    "assignments.assign": lambda o: o.assignments.assign(1, nodes=["n2"], slot="server", actor="ada"),
    "assignments.unassign": lambda o: o.assignments.unassign("n1", "server", actor="ada"),
    "downloads.download": lambda o: o.downloads.download(
        [1], DownloadOptions(key=True, form=Format.PEM, passphrase=PASSWORD), actor="ada"
    ),
    "certificates.delete": lambda o: o.certificates.delete([1], force=True, actor="ada"),
    "nodes.add": lambda o: o.nodes.add(
        "n3", NodeDescription(names=[], addresses=[], slots={"server": 1}), maker=Maker(), actor="ada"
    ),
    "nodes.add_without_token": lambda o: o.nodes.add_without_token(
        "n4", NodeDescription(names=[], addresses=[]), actor="ada"
    ),
    "nodes.add_management_node": lambda o: o.nodes.add_management_node(names=[], addresses=[], actor="ada"),
    "nodes.describe": lambda o: o.nodes.describe(
        "n1", NodeDescription(names=["x.example.com"], addresses=[], slots={"server": None}), actor="ada"
    ),
    "nodes.remove": lambda o: o.nodes.remove("n1", "n2", actor="ada"),
    "nodes.remove_token": lambda o: o.nodes.remove_token("n1", 1, actor="ada"),
    "sessions.end_of": lambda o: o.sessions.end_of("bob", actor="ada"),
    "nodes.new_token": lambda o: o.nodes.new_token("n1", maker=Maker(), actor="ada"),
    "documents.add": lambda o: o.documents.add("other", {"name": "b"}, unique=[["name"]], actor="ada"),
    "documents.change": lambda o: o.documents.change(
        "thing", 1, {"name": "b"}, unique=[["name"]], check=_accept, actor="ada"
    ),
    "documents.change_only": lambda o: o.documents.change_only(
        "thing", {"name": "b"}, check=_accept, shown_id=1, actor="ada"
    ),
    "documents.delete": lambda o: o.documents.delete("thing", [1], actor="ada"),
    "generations.republish": lambda o: o.generations.republish("n1", 1, actor="ada"),
    "host_key.announce": lambda o: _from("steady", o, lambda: o.host_key.announce(actor="ada")),
    "host_key.abandon": lambda o: o.host_key.abandon(actor="ada"),
    "host_key.switch": lambda o: o.host_key.switch([], force=True, actor="ada"),
    "host_key.drop": lambda o: _from("switched", o, lambda: o.host_key.drop([], force=True, actor="ada")),
    "pushes.push": lambda o: o.pushes.push(["n1"], forced=True, actor="ada"),
    "accounts.add": lambda o: o.accounts.add(_account("third"), actor="ada"),
    "accounts.register": lambda o: o.accounts.register(1, agrees=True, actor="ada"),
    "accounts.edit": lambda o: o.accounts.edit(1, AccountChanges(contact=["ops@example.com"]), actor="ada"),
    "accounts.change_key": lambda o: o.accounts.change_key(1, actor="ada"),
    "accounts.deactivate": lambda o: o.accounts.deactivate(1, actor="ada"),
    "accounts.delete": lambda o: o.accounts.delete(2, actor="ada"),
    "renewals.switch_on": lambda o: o.renewals.switch_on(1, TERMS, actor="ada"),
    "renewals.order_new": lambda o: o.renewals.order_new(TERMS, nodes=["n2"], slot="server", actor="ada"),
    "renewals.change": lambda o: o.renewals.change(1, replace(TERMS, profile="short"), actor="ada"),
    "renewals.set_paused": lambda o: o.renewals.set_paused(1, paused=True, actor="ada"),
    "renewals.remove": lambda o: o.renewals.remove(1, actor="ada"),
    "renewals.test": lambda o: o.renewals.test(1, actor="ada"),
    "renewals.order_now": lambda o: o.renewals.order_now(1, actor="ada"),
}


@pytest.fixture
async def arranged(world: World) -> World:
    """One of everything that an act may change; quickly, so not by the use cases."""
    store = world.store
    for name in ("n1", "n2"):
        await store.nodes.add(name, "node", names=[], addresses=[], now_s=NOW_S)
        world.fleet.nodes.add(name)
    await _upload(world.use_cases, FIRST, ["n1"])
    await world.use_cases.trust.take(ROOT.certificate_pem, actor="ada")
    await world.use_cases.csrs.create(
        replaces=1, changes=CsrChanges(), key=KeyChoice(private_key=ANSWER.key_pem), actor="ada"
    )
    bob = await store.users.add("bob", Role.OPERATOR, password_hash="x", now_s=NOW_S)
    await store.users.add_token(
        "bob", token_hash="x", label="l", scope="operator", expires_s=NOW_S + 9, now_s=NOW_S, most=9
    )
    await store.nodes.add_join_token(
        NodeName("n1"), secret_hash="x", created_by="ada", maker=Maker(), expires_s=NOW_S + 9, now_s=NOW_S
    )
    await store.sessions.add("x", bob.id, source="", now_s=NOW_S, keep=9)
    await store.clients.add(
        "one",
        Role.OPERATOR,
        client_id="one",
        public_key=PUBLIC_KEY,
        created_by="ada",
        now_s=NOW_S,
        most=9,
    )
    await store.roles.add("mine", ["operate"])
    await store.documents.add("thing", {"name": "a"})
    condition = Condition(subject=Subject(AlarmKind.EVALUATION_SILENT, "x"), label="x", details="x")
    await store.alarms.apply(AlarmChanges(raised=[condition], lowered=[], updated={}), now_s=NOW_S)
    await store.generations.publish([new_generation(1)])
    await store.host_keys.keep("announced", generate_key(), generate_key())
    await world.use_cases.host_key.begin(_present)
    server = CaServer(lambda: NOW_S, ModelShowing(lambda: NOW_S))
    world.use_cases.accounts = AccountUseCases(
        world.use_cases._context, ModelCas(server, server), wake=wake_nobody
    )
    for name in ("first", "second"):
        await world.use_cases.accounts.add(_account(name), actor="ada")
    await world.use_cases.renewals.order_new(TERMS, nodes=["n1"], slot="server", actor="ada")
    world.fleet.changes.clear()
    world.use_cases._context.content_changed.clear()
    return world


async def everything(database: Database) -> dict[str, list[Any]]:
    async with database.read() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


def test_every_act_that_names_who_did_it_is_tried_here(world: World):
    found = {
        f"{topic}.{name}"
        for topic, use_cases in vars(world.use_cases).items()
        if topic != "_context"
        for name, method in inspect.getmembers(use_cases, inspect.iscoroutinefunction)
        if not name.startswith("_") and "actor" in inspect.signature(method).parameters
    }
    assert found == set(ACTS)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_an_act_that_cannot_be_noted_changes_nothing_and_tells_nobody(
    arranged: World, act, monkeypatch
):
    database, fleet, content_changed = (
        arranged.store._database,
        arranged.fleet,
        arranged.use_cases._context.content_changed,
    )
    before = await everything(database)

    async def full(**_values: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(arranged.store.audit, "append", full)
        with pytest.raises(StorageError, match="the disk is full"):
            await act(arranged.use_cases)
    assert await everything(database) == before
    assert (fleet.changes, fleet.nodes, content_changed.is_set()) == ([], {"n1", "n2"}, False)
    assert (fleet.pushed, fleet.republished) == ([], [])
    # and what it would have changed it changes now
    await act(arranged.use_cases)
    after = await everything(database)
    assert len(after["audit"]) > len(before["audit"])
    assert (await arranged.store.audit.verify()).broken_at is None


async def test_a_session_that_cannot_be_noted_does_not_begin(arranged: World, monkeypatch):
    async def full(**_values: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(arranged.store.audit, "append", full)
    before = await everything(arranged.store._database)
    bob, _ = await arranged.store.users.get("bob")
    with pytest.raises(StorageError):
        await arranged.use_cases.sessions.start(bob, address="192.0.2.1")
    assert await everything(arranged.store._database) == before


async def test_of_several_acts_at_once_the_last_note_that_fails_undoes_all(arranged: World, monkeypatch):
    append, noted = arranged.store.audit.append, 0

    async def full_soon(**values: Any) -> None:
        nonlocal noted
        noted += 1
        if noted == 3:
            raise StorageError("the disk is full")
        await append(**values)

    before = await everything(arranged.store._database)
    monkeypatch.setattr(arranged.store.audit, "append", full_soon)
    with pytest.raises(StorageError):
        await ACTS["certificates.import_files"](arranged.use_cases)
    assert (noted, await everything(arranged.store._database)) == (3, before)
