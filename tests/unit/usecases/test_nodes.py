import dataclasses

import pytest

from common.api.codes import Role, Scope
from common.errors import ConflictError, InvalidInputError, NotFoundError, Reason, StorageError
from common.ids import MANAGEMENT_NODE
from common.wire.enrolment import decode_token, hash_secret
from manager.domain.callers import Maker
from manager.domain.certificate_list import CertificateQuery
from manager.domain.model import NodeDescription
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.uploads import Upload
from manager.usecases.usecases import UseCases
from tests.pki import NOW_S, make_leaf
from tests.unit.usecases.conftest import WITHIN_S, World

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAItest"


async def test_a_new_node_has_a_temporary_certificate_for_all_its_names_in_its_server_slot(world: World):
    record, _ = await world.use_cases.nodes.add(
        "n1",
        NodeDescription(
            names=["N1.Example.com.", "alias.example.com"], addresses=["192.0.2.7", "2001:DB8::7"]
        ),
        maker=Maker(),
        actor="ada",
    )
    _, (view,) = await world.use_cases.certificates.list(CertificateQuery())
    assert record.names == ("n1.example.com", "alias.example.com")
    assert record.addresses == ("192.0.2.7", "2001:db8::7")
    assert [(each.node, each.slot) for each in view.entry.places] == [("n1", "server")]
    assert view.statuses[0].text == "Temporary"
    assert view.entry.temporary
    leaf = view.entry.leaf
    assert leaf.dns_names == record.names
    assert leaf.ip_addresses == record.addresses
    assert "BEGIN DH PARAMETERS" in (await world.store.certificates.get(view.entry.id)).parameters_pem
    assert world.fleet.nodes == {"n1"}
    assert await world.acts() == [("ada", "node.added", "node n1"), ("ada", "node.token_made", "node n1")]


async def test_a_node_without_names_is_called_by_its_own(world: World):
    record, _ = await world.use_cases.nodes.add(
        "n1.example.com", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
    )
    assert record.names == ("n1.example.com",)


@pytest.mark.parametrize("name", ["management", "join"])
async def test_a_name_that_a_login_has_for_itself_is_refused(world: World, name: str):
    with pytest.raises(ConflictError, match=f"'{name}' is the name"):
        await world.use_cases.nodes.add(
            name, NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
        )


@pytest.mark.parametrize(
    ("name", "names", "addresses", "field"),
    [
        # a node may be called so, but it is no DNS name: another must be given
        ("a.-b", [], [], "names"),
        ("n1", ["*.example.com"], [], "names"),
        ("n1", ["n1.example.com\0"], [], "names"),
        ("n1", ["x" * 64 + ".example.com"], [], "names"),
        ("n1", [f"n{number}.example.com" for number in range(33)], [], "names"),
        ("n1", [], ["192.0.2.300"], "addresses"),
        ("n1", [], ["192.0.2.0/24"], "addresses"),
        ("n1", [], ["fe80::1%eth0"], "addresses"),
        ("n1", [], [f"192.0.2.{number}" for number in range(33)], "addresses"),
    ],
)
async def test_bad_names_are_refused_before_any_work(world: World, name, names, addresses, field):
    with pytest.raises(InvalidInputError) as caught:
        await world.use_cases.nodes.add(
            name, NodeDescription(names=names, addresses=addresses), maker=Maker(), actor="ada"
        )
    assert caught.value.field == field
    assert world.workers.calls == []
    assert await world.store.nodes.list() == []


async def test_a_name_that_is_taken_is_refused_before_any_work(world: World):
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    before = list(world.workers.calls)
    with pytest.raises(ConflictError):
        await world.use_cases.nodes.add(
            "n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
        )
    assert world.workers.calls == before


async def test_an_address_that_another_node_has_is_refused_when_it_is_added_and_when_it_is_described(
    world: World,
):
    await world.use_cases.nodes.add(
        "n1", NodeDescription(names=[], addresses=["192.0.2.7"]), maker=Maker(), actor="ada"
    )
    await world.use_cases.nodes.add(
        "n2", NodeDescription(names=[], addresses=["192.0.2.8", "192.0.2.7"]), maker=Maker(), actor="ada"
    )
    taken = NodeDescription(names=["n2"], addresses=["192.0.2.7"])
    for refused in (
        world.use_cases.nodes.add(
            "n3", NodeDescription(names=[], addresses=["192.0.2.7"]), maker=Maker(), actor="ada"
        ),
        world.use_cases.nodes.describe("n2", taken, actor="ada"),
    ):
        with pytest.raises(
            InvalidInputError, match=r"'192\.0\.2\.7' is already the address of node 'n1'"
        ) as caught:
            await refused
        assert (caught.value.field, caught.value.reason) == ("addresses", Reason.CONFLICT)
    same = NodeDescription(names=["n1.example.com"], addresses=["192.0.2.7"])
    await world.use_cases.nodes.describe("n1", same, actor="ada")
    assert [each.addresses for each in await world.store.nodes.list()] == [
        ("192.0.2.7",),
        ("192.0.2.8", "192.0.2.7"),
    ]


async def test_a_node_whose_certificate_cannot_be_kept_is_not_kept_either(world: World, monkeypatch):
    async def full(*_args, **_options):
        raise StorageError("the disk is full", reason=Reason.NO_SPACE)

    with monkeypatch.context() as patch:
        patch.setattr(world.store.certificates, "add", full)
        with pytest.raises(StorageError):
            await world.use_cases.nodes.add(
                "n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
            )
    assert (await world.store.nodes.list(), world.fleet.nodes) == ([], set())
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")


async def test_the_management_node_is_neither_added_nor_removed_nor_joined_by_operators(world: World):
    await world.use_cases.nodes.add_management_node(names=["m.example.com"], addresses=[], actor="console")
    for refused in (
        world.use_cases.nodes.add(
            MANAGEMENT_NODE, NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
        ),
        world.use_cases.nodes.remove(MANAGEMENT_NODE, actor="ada"),
        world.use_cases.nodes.new_token(MANAGEMENT_NODE, maker=Maker(), actor="ada"),
    ):
        with pytest.raises(ConflictError):
            await refused


async def test_the_node_of_another_manager_is_removed_only_while_that_does_not_serve(world: World):
    await world.use_cases.nodes.add_management_node(names=["m.example.com"], addresses=[], actor="console")
    other = UseCases(
        dataclasses.replace(world.use_cases._context, own_node="management-2"),
        cas=NoCas(),
        wake=wake_nobody,
        challenges=tuple(ChallengeKind),
    )
    await other.nodes.add_management_node(names=["m2.example.com"], addresses=[], actor="console")
    world.fleet.addresses = {"management-2": "in-process", MANAGEMENT_NODE: "in-process"}
    for manager, name in (
        (other, "management-2"),
        (world.use_cases, "management-2"),
        (other, MANAGEMENT_NODE),
    ):
        with pytest.raises(ConflictError):
            await manager.nodes.remove(name, actor="ada")
    with pytest.raises(ConflictError, match="cannot join"):
        await world.use_cases.nodes.new_token("management-2", maker=Maker(), actor="ada")
    world.fleet.addresses = {}
    member = await world.store.members.join("management-2")
    with pytest.raises(ConflictError, match="serves; stop it first"):
        await world.use_cases.nodes.remove("management-2", actor="ada")
    await world.store.members.leave(member)
    await world.use_cases.nodes.remove("management-2", actor="ada")
    assert [record.name for record in await world.store.nodes.list()] == [MANAGEMENT_NODE]


async def test_a_join_token_says_where_and_whom_and_its_secret_is_kept_as_a_hash(world: World):
    _, token = await world.use_cases.nodes.add(
        "n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
    )
    said = decode_token(token.text)
    assert (said.node, said.addresses, said.fingerprint) == ("n1", ["192.0.2.1:9422"], "SHA256:abc")
    assert said.expires_s == token.expires_s == NOW_S + WITHIN_S
    assert token.text not in repr(token)
    joined = await world.store.nodes.redeem_join_token(
        "n1", secret_hash=hash_secret(said.secret), public_key=LINE, now_s=NOW_S
    )
    assert joined.public_key == LINE


async def test_a_join_token_ends_no_later_than_the_api_token_that_it_was_made_with(world: World):
    users, nodes = world.use_cases.users, world.use_cases.nodes
    await users.add("ada", role=Role.ADMINISTRATOR, password="copper horse battery", actor="console")
    given = {"label": "terraform", "days": 1, "scope": Scope.PROVISIONING, "actor": "ada"}
    text, expires_s = await users.new_token("ada", **given)
    world.wait(86400 - 60)
    maker = (await users.by_token(text, address="192.0.2.7")).maker
    await nodes.add_without_token("n1", NodeDescription(names=[], addresses=[]), actor="ada")
    token = await nodes.new_token("n1", maker=maker, actor="ada")
    assert decode_token(token.text).expires_s == token.expires_s == expires_s
    (listed,) = await nodes.join_tokens()
    assert listed.expires_s == expires_s


async def test_unused_join_tokens_are_few(world: World):
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    for _ in range(4):
        await world.use_cases.nodes.new_token("n1", maker=Maker(), actor="ada")
    with pytest.raises(ConflictError):
        await world.use_cases.nodes.new_token("n1", maker=Maker(), actor="ada")
    world.wait(WITHIN_S + 1)
    await world.use_cases.nodes.new_token("n1", maker=Maker(), actor="ada")


async def test_a_removed_node_takes_its_temporary_certificate_along_and_no_other(world: World):
    made = make_leaf(None, ["shared.example.com"])
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    await world.use_cases.nodes.add("n2", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    uploaded = await world.use_cases.certificates.upload(
        Upload(
            certificate=made.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=["n1"],
            slot="client",
        ),
        actor="ada",
    )
    await world.use_cases.nodes.remove("n1", actor="ada")
    _, left = await world.use_cases.certificates.list(CertificateQuery())
    assert {view.entry.id: [each.node for each in view.entry.places] for view in left} == {
        2: ["n2"],
        uploaded.record.id: [],
    }
    assert world.fleet.nodes == {"n2"}
    with pytest.raises(NotFoundError):
        await world.use_cases.nodes.remove("n1", actor="ada")


async def test_a_node_is_described_with_its_slots_all_at_once_or_not_at_all(world: World):
    made = make_leaf(None, ["shared.example.com"])
    await world.use_cases.nodes.add(
        "n1", NodeDescription(names=["a.example.com"], addresses=[]), maker=Maker(), actor="ada"
    )
    uploaded = await world.use_cases.certificates.upload(
        Upload(certificate=made.certificate_pem, private_key=made.key_pem),
        actor="ada",
    )
    new = NodeDescription(names=["B.example.com"], addresses=["192.0.2.9"], detail={"x": 1})
    for slots, error in (
        ({"server": 99}, NotFoundError),
        ({"server": uploaded.record.id, "client": 99}, NotFoundError),
    ):
        with pytest.raises(error):
            await world.use_cases.nodes.describe("n1", dataclasses.replace(new, slots=slots), actor="ada")
    with pytest.raises(InvalidInputError):
        await world.use_cases.nodes.describe("n1", dataclasses.replace(new, addresses=["x"]), actor="ada")
    assert (await world.store.nodes.get("n1")).names == ("a.example.com",)
    world.fleet.changes.clear()
    full = dataclasses.replace(new, slots={"server": uploaded.record.id, "client": uploaded.record.id})
    await world.use_cases.nodes.describe("n1", full, actor="ada")
    record = await world.store.nodes.get("n1")
    assert (record.names, record.addresses, record.detail) == (("b.example.com",), ("192.0.2.9",), {"x": 1})
    assert {each.slot for each in await world.store.certificates.nodes_of(uploaded.record.id)} == {
        "server",
        "client",
    }
    await world.use_cases.nodes.describe("n1", dataclasses.replace(new, slots={"client": None}), actor="ada")
    assert {each.slot for each in await world.store.certificates.nodes_of(uploaded.record.id)} == {"server"}
    assert (await world.acts())[-1] == ("ada", "node.described", "node n1")
    assert world.fleet.changes == [{"n1"}, {"n1"}]


async def test_a_node_that_cannot_have_its_certificate_leaves_nothing(world: World):
    with pytest.raises(NotFoundError):
        await world.use_cases.nodes.add(
            "n1", NodeDescription(names=[], addresses=[], slots={"server": 99}), maker=Maker(), actor="ada"
        )
    assert await world.store.nodes.list() == []
    assert await world.store.certificates.list() == []
    assert world.fleet.nodes == set()


async def test_several_nodes_are_removed_or_none(world: World):
    for name in ("n1", "n2", "n3"):
        await world.use_cases.nodes.add(
            name, NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
        )
    with pytest.raises(NotFoundError):
        await world.use_cases.nodes.remove("n1", "nobody", actor="ada")
    assert len(await world.store.nodes.list()) == 3
    await world.use_cases.nodes.remove("n1", "n3", actor="ada")
    assert world.fleet.nodes == {"n2"}
    assert len(await world.store.certificates.list()) == 1
