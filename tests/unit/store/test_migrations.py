"""A store of an earlier schema, with entries that refer to each other, brought up to date."""

import pytest
from alembic import command
from sqlalchemy import column, func, insert, select, table

from common.ids import NodeName
from common.pki.certificate import decode
from manager.domain.callers import Maker
from manager.pki.judge.identity import issuer_of, key_of
from manager.pki.read.upload import read_tls
from manager.store.engine import Database
from manager.store.place import StorePlace
from manager.store.store import Store, engine_of
from manager.store.tables.content import certificate as certificate_table
from manager.usecases.kept import new_certificate, new_trusted_ca
from tests.pki import make_leaf, make_root
from tests.unit.store.given import KEY_PEM

ROOT = make_root()
LEAF = make_leaf(ROOT, serial=1)


@pytest.fixture
async def before(empty_place: StorePlace, keyring, monkeypatch: pytest.MonkeyPatch) -> StorePlace:
    """Make a store of schema 0006 that holds a certificate on a node, a request for it, a CA, and a gap in the numbers."""
    to_head = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0006"))
        await (await Store.create(empty_place, keyring)).close()
    leaf, ca = decode(LEAF.certificate_der), decode(ROOT.certificate_der)
    rows = {
        "trusted_ca": {"id": 3, "text": ca.pem, "certificate_pem": ca.pem, "trusted_intermediate": False},
        "certificate": {
            "id": 5,
            "text": leaf.pem,
            "leaf_pem": leaf.pem,
            "chain_pem": "",
            "parameters_pem": "",
            "sealed_key": keyring.seal("certificate:5", KEY_PEM.encode()),
            "temporary": False,
            "subject_alt_names": '["node.example.com"]',
            "changed_s": 2.0,
            "parameters_text": "",
        },
        "node": {
            "id": 1,
            "name": "n1",
            "kind": "node",
            "names": "[]",
            "addresses": "[]",
            "created_s": 1.0,
        },
        "assignment": {"node_id": 1, "slot": "server", "certificate_id": 5},
        "request": {
            "id": 2,
            "pem": "csr",
            "sealed_key": b"",
            "subject_name": "n",
            "raw_subject": "CN=n",
            "subject_alt_names": "[]",
            "key_type": "EC",
            "replaces_id": 5,
            "answer_id": 5,
            "created_s": 1.0,
        },
    }
    for name, made in (("certificate", leaf), ("trusted_ca", ca)):
        rows[name] |= {
            "fingerprint": made.fingerprint,
            "subject_name": made.subject_name,
            "created_s": 1.0,
            "issuer_name": made.issuer_name,
            "raw_subject": made.raw_subject,
            "raw_issuer": made.raw_issuer,
            "serial_no": made.serial_no,
            "not_before_s": made.not_before_s,
            "not_after_s": made.not_after_s,
            "self_signed": made.is_self_signed,
        }
    database = Database(engine_of(empty_place))
    async with database.write() as connection:
        for name, row in rows.items():
            await connection.execute(insert(table(name, *map(column, row))).values(row))
        await database.engine.set_ids_given(
            connection, {"certificate": 9, "trusted_ca": 3, "node": 1, "request": 2}
        )
    await database.close()
    return empty_place


async def test_what_a_certificate_is_known_by_is_read_from_it_and_nothing_that_refers_to_it_is_lost(
    before: StorePlace, keyring
):
    store = await Store.open(before, keyring)
    assert await store.certificates.private_key(5) == KEY_PEM
    assert [(each.node, each.certificate_id) for each in await store.assignments.list()] == [("n1", 5)]
    request = await store.csrs.get(2)
    assert (request.replaces_id, request.answer_id) == (5, 5)
    assert [record.id for record in await store.trusted_cas.list()] == [3]
    leaf = decode(LEAF.certificate_der)
    async with store._database.read() as connection:
        row = (await connection.execute(certificate_table.select())).one()
    assert (row.issuer_id, row.public_key_id) == (issuer_of(leaf), key_of(leaf))
    ((again, created),) = await store.trusted_cas.add(
        [new_trusted_ca(decode(ROOT.certificate_der))], now_s=3.0
    )
    assert (again.id, created) == (3, False)
    other = make_leaf(ROOT, ["other.example.com"])
    material = read_tls(certificate=other.certificate_pem, private_key=other.key_pem)
    added = await store.certificates.add(new_certificate(material), now_s=4.0)
    assert added[0].id == 10  # 6 to 9 were given to entries that are deleted
    await store.close()


async def test_an_answered_request_has_the_text_of_its_answer_and_the_levels_are_roles(
    before: StorePlace, keyring
):
    store = await Store.open(before, keyring)
    assert (await store.csrs.get(2)).answer_text == decode(LEAF.certificate_der).pem
    assert [(each.id, each.name, each.permissions, each.built_in) for each in await store.roles.list()] == [
        (1, "read-only", ("use_api",), True),
        (2, "operator", ("use_api", "operate"), True),
        (3, "administrator", ("use_api", "operate", "is_admin"), True),
    ]
    assert await store.roles.add("mine", ["operate"]) == 4
    await store.close()


async def test_tokens_of_before_keep_their_users_role_and_live_a_year_at_most(
    empty_place: StorePlace, keyring, monkeypatch: pytest.MonkeyPatch
):
    to_head = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0010"))
        await (await Store.create(empty_place, keyring)).close()
    year_s = 365 * 86400.0
    database = Database(engine_of(empty_place))
    async with database.write() as connection:
        user = {"id": 1, "name": "ann", "role": "operator", "password_hash": "x", "created_s": 1.0}
        await connection.execute(insert(table("user", *map(column, user))).values(user))
        for number, life_s in ((1, 10 * year_s), (2, year_s / 2)):
            token = {
                "id": number,
                "user_id": 1,
                "token_hash": str(number),
                "label": "ci",
                "created_s": 1000.0,
                "expires_s": 1000.0 + life_s,
            }
            await connection.execute(insert(table("api_token", *map(column, token))).values(token))
    await database.close()
    store = await Store.open(empty_place, keyring)
    try:
        found = {each.id: each for each in await store.users.tokens("ann", now_s=1000.0)}
    finally:
        await store.close()
    assert {each.scope for each in found.values()} == {"operator"}
    assert [found[number].expires_s - 1000.0 for number in (1, 2)] == [year_s, year_s / 2]


async def test_unused_join_tokens_of_before_belong_to_whom_may_make_them_and_go_if_there_is_nobody(
    empty_place: StorePlace, keyring, monkeypatch: pytest.MonkeyPatch
):
    to_head = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0019"))
        await (await Store.create(empty_place, keyring)).close()
    roles = [("mine", '["is_admin", "provision"]'), ("other", '["is_admin"]')]
    users = [("ann", "administrator"), ("bob", "operator")]
    made_by = ["ann", "bob", "oauth:ci", "oauth:other", "oauth:gone", "gone", ""]
    rows = [
        *(
            ("user", {"name": name, "role": role, "password_hash": "x", "created_s": 1.0})
            for name, role in users
        ),
        *(("api_role", {"name": name, "permissions": given, "built_in": False}) for name, given in roles),
        *(
            (
                "oauth_client",
                {
                    "client_id": name,
                    "name": name,
                    "role": "administrator",
                    "public_key": "",
                    "created_s": 1.0,
                    "api_role_id": number,
                },
            )
            for name, number in (("ci", 4), ("other", 5))
        ),
        ("node", {"name": "n1", "kind": "node", "names": "[]", "addresses": "[]", "created_s": 1.0}),
        *(
            (
                "join_token",
                {
                    "node_id": 1,
                    "secret_hash": f"{name} {used}",
                    "created_by": name,
                    "created_s": 1.0,
                    "expires_s": 9.0,
                    "used_key": used,
                },
            )
            for name in made_by
            for used in (None, f"key of {name}")
        ),
    ]
    database = Database(engine_of(empty_place))
    async with database.write() as connection:
        for name, row in rows:
            await connection.execute(insert(table(name, *map(column, row))).values(row))
        await database.engine.set_ids_given(connection, {"join_token": 99})
    await database.close()
    store = await Store.open(empty_place, keyring)
    try:
        assert [each.created_by for each in await store.nodes.join_tokens(None, now_s=1.0)] == [
            "oauth:ci",
            "ann",
        ]
        await store.clients.remove("ci")
        await store.users.remove("ann")
        assert await store.nodes.join_tokens(None, now_s=1.0) == []
        async with store._database.read() as connection:
            (left,) = (await connection.execute(select(func.count()).select_from(table("join_token")))).one()
        assert left == len(made_by)
        await store.nodes.add_join_token(
            NodeName("n1"), secret_hash="s", created_by="ann", maker=Maker(), expires_s=9.0, now_s=1.0
        )
        assert [each.id for each in await store.nodes.join_tokens(None, now_s=1.0)] == [100]
    finally:
        await store.close()
