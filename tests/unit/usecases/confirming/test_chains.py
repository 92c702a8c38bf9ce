"""What a change means for chains and for what nodes and clients take is told before it is made."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.uploads import Edit, Upload
from tests.pki import DAY_S, NOW_S, Made, make_intermediate, make_leaf, make_root, sign_request
from tests.unit.usecases.confirming.conftest import ISSUER, ROOT, WEST, add_node, codes, refused, upload
from tests.unit.usecases.conftest import World


async def test_a_certificate_for_another_name_is_told_of_by_node_and_name(world: World):
    await add_node(world, "n1", *WEST)
    await add_node(world, "n2", "east.example.com")
    await add_node(world, "n3", "n3")
    await add_node(world, "n4", "west")
    record = (await upload(world, make_leaf(ISSUER, ["west.example.com"]))).record
    assign = world.use_cases.assignments.assign
    error = await refused(assign(record.id, nodes=None, slot="server", confirm="", actor="ada"))
    (mismatch,) = [each for each in error.consequences if each.code == "name_mismatch"]
    assert mismatch.nodes == ("n1", "n2")
    for shown in ("n1 (sip.west.example.com)", "n2 (east.example.com)", "valid for west.example.com"):
        assert shown in mismatch.message
    assert await world.store.assignments.list() == []
    # the name of a server does not matter to what a node shows as a client
    done = await assign(record.id, nodes=None, slot="client", confirm="", actor="ada")
    assert done.consequences == []
    # a program is not held up, and told
    done = await assign(record.id, nodes=["n2"], slot="server", actor="ada")
    assert codes(done.consequences) == {"name_mismatch"}


@pytest.mark.parametrize(
    ("changes", "slot", "code"),
    [
        ({"not_after_s": NOW_S - DAY_S}, "server", "expired"),
        ({"not_before_s": NOW_S + DAY_S}, "server", "not_yet_valid"),
        ({"usages": [ExtendedKeyUsageOID.SERVER_AUTH]}, "client", "no_client_auth"),
        ({"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]}, "server", "no_server_auth"),
    ],
)
async def test_what_nodes_and_clients_would_refuse_is_told_before(world: World, changes, slot, code):
    await add_node(world, "n1", "node.example.com")
    record = (await upload(world, make_leaf(ISSUER, **changes))).record
    assign = world.use_cases.assignments.assign(record.id, nodes=["n1"], slot=slot, confirm="", actor="ada")
    assert code in codes((await refused(assign)).consequences)
    assert await world.store.assignments.list() == []


async def test_an_answer_is_held_against_its_request_and_what_it_replaces(world: World):
    await add_node(world, "n1", *WEST)
    old = (await upload(world, make_leaf(ISSUER, WEST), ["n1"])).record
    request = await world.use_cases.csrs.create(
        replaces=old.id,
        changes=CsrChanges(extra_alt_names=["more.example.com"]),
        key=KeyChoice(private_key=make_leaf(ISSUER).key_pem),
        actor="ada",
    )
    short = make_leaf(
        ISSUER,
        ["west.example.com"],
        key=load_pem_private_key((await world.store.csrs.private_key(request.id)).encode(), None),
    )

    async def answer(certificate: str, confirm: str | None):
        return await world.use_cases.csrs.answer(
            request.id,
            certificate=certificate + ISSUER.certificate_pem,
            parameters="",
            take_over=True,
            nodes=[],
            slot="server",
            confirm=confirm,
            actor="ada",
        )

    error = await refused(answer(short.certificate_pem, ""))
    assert {"names_missing", "names_lost", "name_mismatch"} <= codes(error.consequences)
    assert "more.example.com" in error.message
    assert (await world.store.csrs.get(request.id)).answer_id is None
    whole = await answer(sign_request(ISSUER, request.pem), "")
    assert list(whole.kept.nodes) == ["n1"]
    shown = await answer(short.certificate_pem, None)
    assert "names_missing" in codes(shown.consequences)


async def test_a_chain_without_its_root_is_told_and_only_asked_about_where_it_was_complete(world: World):
    await add_node(world, "n1", "node.example.com")
    private = make_intermediate(make_root("Private Root"), "Private Issuing")
    unknown = make_leaf(private)

    async def give(made: Made, issuer: Made):
        return await upload(world, made, ["n1"], issuer=issuer, confirm="")

    assert [(each.code, each.asks) for each in (await give(unknown, private)).consequences] == [
        ("chain", False)
    ]
    assert "chain" not in {
        each.code for each in (await give(make_leaf(ISSUER), ISSUER)).consequences if each.asks
    }
    error = await refused(give(make_leaf(private), private))
    assert [each.code for each in error.consequences if each.asks] == ["chain"]


async def test_another_servers_certificate_that_came_along_is_named_and_holds_nobody_up(world: World):
    made, other = make_leaf(ISSUER), make_leaf(ISSUER, ["other.example.com"])
    found = await world.use_cases.certificates.upload(
        Upload(
            certificate=made.certificate_pem
            + other.certificate_pem
            + ISSUER.certificate_pem
            + ROOT.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=[],
            slot="server",
        ),
        confirm="",
        actor="ada",
    )
    (said,) = found.consequences
    assert said.code == "not_served"
    assert said.message.startswith("'CN=other.example.com' (fingerprint ")
    assert "came along, without a private key" in said.message
    again = await world.use_cases.certificates.edit(
        found.record.id,
        Edit(certificate=made.certificate_pem + other.certificate_pem),
        confirm="",
        actor="ada",
    )
    assert "not_served" in codes(again.consequences)
