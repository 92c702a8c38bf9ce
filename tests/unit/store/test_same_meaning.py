"""What is stored means the same on every engine: each test here runs on both, and none of them knows which."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from common.codes import Role
from common.errors import ConflictError, InvalidInputError, NotFoundError, Reason, StorageError
from common.ids import NodeName
from manager.domain.annotations import Annotations
from manager.store.tables.content import certificate, meta, report, user
from tests.unit.store.given import N1, NOW_S, add_nodes, new_certificate, new_trusted_ca

ODD = (
    "",
    "\0",
    "a\0b",
    "\0\0",
    "\1",
    "\0010",
    "\0011",
    "a\1\0b\0\1",
    "\1" * 5 + "\0" * 5,
    "é\0\U0001f600",
    "\x7f\x80\xff",
)


@pytest.mark.parametrize("text", ODD)
async def test_any_text_comes_back_as_it_was_given(store, text):
    new = new_certificate("01", text=text, subject_name=text, raw_subject=text, subject_alt_names=(text,))
    record, _ = await store.certificates.add(new, annotations=Annotations(note=text), now_s=NOW_S)
    found = await store.certificates.get(record.id)
    assert (found.text, found.subject_name, found.raw_subject) == (text, text, text)
    assert (found.subject_alt_names, found.annotations.note) == ((text,), text)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        unique=True,
        max_size=12,
    )
)
async def test_names_are_sorted_by_code_points_and_found_by_what_they_are(store, names):
    async with store._database.write() as connection:
        await connection.execute(user.delete())
    for name in names:
        await store.users.add(name, Role.OPERATOR, password_hash="", now_s=1.0)
    assert [each.name for each in await store.users.list()] == sorted(names)
    for name in names:
        assert (await store.users.get(name))[0].name == name


async def test_names_that_a_language_would_sort_otherwise_are_sorted_by_code_points(store):
    names = ["n-1", "n1", "n-10", "n-2", "n.b", "na", "n-a", "nb"]
    await add_nodes(store, *map(NodeName, names))
    assert [record.name for record in await store.nodes.list()] == sorted(names)
    record, _ = await store.certificates.add(
        new_certificate("01"), nodes=list(map(NodeName, names)), now_s=1.0
    )
    assert [each.node for each in await store.certificates.nodes_of(record.id)] == sorted(names)
    upper = ["Zoe", "ann", "Émile", "zoe", "Ann", "_x"]
    for name in upper:
        await store.users.add(name, Role.OPERATOR, password_hash="", now_s=1.0)
    assert [each.name for each in await store.users.list()] == sorted(upper)


async def test_names_that_differ_in_case_or_form_are_two(store):
    for name in ("ann", "Ann", "ANN", "\u00e9", "e\u0301", "ann ", " ann"):
        await store.users.add(name, Role.OPERATOR, password_hash="", now_s=1.0)
    assert len(await store.users.list()) == 7
    with pytest.raises(ConflictError):
        await store.users.add("ann", Role.OPERATOR, password_hash="", now_s=1.0)


async def test_a_search_of_the_audit_log_knows_no_case_of_ascii_and_no_wildcard(store):
    for subject in ("Node A", "node b", "100%", "a_b", "a\\b", "ÄRGER", "ärger", "last"):
        await store.audit.append(at_s=1.0, actor="Ann", action="x", subject=subject)

    async def found(text: str) -> set[str]:
        return {each.subject for each in await store.audit.list(subject=text)}

    assert await found("NODE") == {"Node A", "node b"}
    assert await found("%") == {"100%"}
    assert await found("_") == {"a_b"}
    assert await found("\\") == {"a\\b"}
    assert await found("ärger") == {"ärger"}
    assert await found("Ä") == {"ÄRGER"}
    assert len(await store.audit.list(actor="aNN", action="X")) == 8
    assert (await store.audit.verify()).broken_at is None


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**40, 2**63 - 1])
async def test_a_number_that_no_entry_has_is_not_found_however_large(store, number):
    for ask in (
        store.certificates.get(number),
        store.trusted_cas.get(number),
        store.csrs.get(number),
        store.certificates.delete([number], even_assigned=False),
        store.documents.delete("kind", [number]),
        store.alarms.acknowledge([number], actor="ann", now_s=1.0),
        store.users.remove_token(number, name=None),
        store.roles.remove([number]),
    ):
        with pytest.raises(NotFoundError):
            await ask
    assert await store.certificates.list([number]) == []
    assert await store.audit.list(before=number) == []


@pytest.mark.parametrize("moment_s", [2**31, 253_402_300_799, -62_135_596_800, 0, None])
async def test_a_certificate_is_valid_until_any_moment_that_one_can_name(store, moment_s):
    new = new_certificate("01", not_before_s=moment_s, not_after_s=moment_s)
    record, _ = await store.certificates.add(new, now_s=NOW_S)
    found = await store.certificates.get(record.id)
    assert (found.not_before_s, found.not_after_s) == (moment_s, moment_s)
    ca = new_trusted_ca("01", not_before_s=moment_s, not_after_s=moment_s)
    ((kept, _),) = await store.trusted_cas.add([ca], now_s=NOW_S)
    assert (kept.not_before_s, kept.not_after_s) == (moment_s, moment_s)


async def test_text_is_never_too_long(store):
    long = "ab" * 300
    record, _ = await store.certificates.add(new_certificate(long), now_s=NOW_S)
    assert record.serial_no == long
    await store.users.add(long, Role.OPERATOR, password_hash=long * 100, now_s=1.0)
    assert (await store.users.get(long))[1] == long * 100
    await store.meta.set(long, b"1")
    assert await store.meta.get(long) == b"1"


@pytest.mark.parametrize("moment_s", [0.1 + 0.2, 1764140000.123457, 5e-324, 1.7976931348623157e308, -0.0])
async def test_a_moment_comes_back_to_the_last_bit(store, moment_s):
    await add_nodes(store, N1)
    async with store._database.write() as connection:
        await connection.execute(insert(report).values(node_id=1, at_s=moment_s, body=b""))
    async with store._database.read() as connection:
        assert (await connection.execute(select(report.c.at_s))).scalar_one() == moment_s


@pytest.mark.parametrize("moment_s", [math.inf, -math.inf, math.nan])
async def test_a_time_that_is_no_number_is_not_kept(store, moment_s):
    await add_nodes(store, N1)
    with pytest.raises(
        StorageError, match=r"a time in the store is none \(in the column report.at_s: -?(inf|nan)\)"
    ):
        async with store._database.write() as connection:
            await connection.execute(insert(report).values(node_id=1, at_s=moment_s, body=b""))


async def test_a_time_that_somebody_made_infinite_in_the_database_is_named(store):
    await add_nodes(store, N1)
    async with store._database.write() as connection:
        # as SQLite has it; PostgreSQL reads the same as text
        infinite = "9e999" if connection.dialect.name == "sqlite" else "'Infinity'::float8"
        await connection.exec_driver_sql(f"UPDATE node SET created_s = {infinite}")
    with pytest.raises(
        StorageError, match=r"column node.created_s: inf.*; correct it in the database"
    ) as caught:
        await store.nodes.list()
    assert caught.value.reason is Reason.STORAGE


async def test_octets_which_sqlite_keeps_where_a_time_belongs_are_named(local):
    await add_nodes(local, N1)
    async with local._database.write() as connection:
        await connection.exec_driver_sql("UPDATE node SET created_s = X'31'")
    with pytest.raises(StorageError, match=r"column node.created_s: bytes\)"):
        await local.nodes.list()


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udcff\ud800"])
async def test_half_a_character_is_refused_wherever_it_is_to_be_kept_or_looked_for(store, text):
    with pytest.raises(InvalidInputError, match="half of one"):
        await store.users.add(text, Role.OPERATOR, password_hash="", now_s=1.0)
    with pytest.raises(InvalidInputError, match="half of one"):
        await store.users.get(text)
    assert await store.users.list() == []
    await store.users.add("ann", Role.OPERATOR, password_hash="", now_s=1.0)


@pytest.mark.parametrize("value", [b"", b"\0", bytes(range(256)) * 40])
async def test_octets_come_back_as_they_were_given(store, value):
    await store.meta.set("name", value)
    assert await store.meta.get("name") == value
    await store.meta.secret_set("name", value)
    assert await store.meta.secret_get("name") == value


async def test_yes_no_and_nothing_are_three_things(store):
    record, _ = await store.certificates.add(
        new_certificate("01", self_signed=True, temporary=False, parameters_pem=""), now_s=NOW_S
    )
    assert (record.self_signed, record.temporary) == (True, False)
    async with store._database.read() as connection:
        row = (await connection.execute(select(certificate).where(certificate.c.self_signed.is_(True)))).one()
    assert row.self_signed is True
    assert row.temporary is False
    assert row.note == ""


async def test_an_id_is_given_once_even_if_the_last_entry_goes(store):
    given = []
    for serial in ("01", "02", "03"):
        record, _ = await store.certificates.add(new_certificate(serial), now_s=NOW_S)
        given.append(record.id)
        await store.certificates.delete([record.id], even_assigned=True)
    assert given == sorted(set(given))
    assert given[0] > 0


async def test_how_far_ids_were_given_is_told_and_taken_over(store):
    for serial in ("01", "02"):
        record, _ = await store.certificates.add(new_certificate(serial), now_s=NOW_S)
        await store.certificates.delete([record.id], even_assigned=True)
    async with store._database.read() as connection:
        assert (await store._database.engine.ids_given(connection)).get("certificate") == 2
    async with store._database.write() as connection:
        await store._database.engine.set_ids_given(connection, {"certificate": 2**40, "user": 7})
        given = await store._database.engine.ids_given(connection)
    assert (given["certificate"], given["user"]) == (2**40, 7)
    record, _ = await store.certificates.add(new_certificate("03"), now_s=NOW_S)
    assert record.id == 2**40 + 1
    assert (await store.users.add("ann", Role.OPERATOR, password_hash="", now_s=1.0)).id == 8


async def test_an_unknown_name_of_an_upsert_is_added_and_a_known_one_replaced(store):
    async with store._database.write() as connection:
        rows = [{"name": "a", "value": b"1"}, {"name": "b", "value": b"2"}]
        await store._database.upsert(connection, meta, rows, key="name")
        await store._database.insert_absent(
            connection, meta, [{"name": "a", "value": b"9"}, {"name": "c", "value": b"3"}]
        )
        await store._database.upsert(connection, meta, [{"name": "b", "value": b"4"}], key="name")
        wanted = (
            select(meta.c.name, meta.c.value).where(meta.c.name.in_(["a", "b", "c"])).order_by(meta.c.name)
        )
        found = {row.name: bytes(row.value) for row in await connection.execute(wanted)}
    assert found == {"a": b"1", "b": b"4", "c": b"3"}


async def test_programs_that_have_a_role_are_named_in_order(store):
    role_id = await store.roles.add("role", [])
    for name in ("c", "a", "b"):
        await store.clients.add(
            name,
            Role.OPERATOR,
            client_id=name,
            public_key="",
            created_by="",
            now_s=1.0,
            most=9,
            api_role_id=role_id,
        )
    async with store._database.write() as connection:
        # an entry that changed moves to another place in PostgreSQL's files
        await connection.exec_driver_sql("UPDATE oauth_client SET public_key = 'x' WHERE name = 'a'")
    with pytest.raises(ConflictError, match="a, b, c"):
        await store.roles.remove([role_id])
