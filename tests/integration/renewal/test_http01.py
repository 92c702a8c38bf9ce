"""HTTP-01: every node that serves a name shows its proof, and who does not is named with what was seen."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.challenge import CHALLENGES_MAX, PATH
from common.ids import NodeName
from manager.domain.renewal.records import Proof
from manager.fleet.challenge_check import ChallengeChecker
from manager.pki.read.upload import read_tls
from manager.store.inventory import Inventories
from manager.store.store import Store
from manager.usecases.kept import new_certificate
from manager.usecases.renewal import http01
from manager.usecases.renewal.http01 import HttpShowing
from manager.usecases.renewal.ports import CaError
from tests import pki
from tests.fakes.fleet import FakeFleet
from tests.integration.renewal.http_parts import Node, answer, servers
from tests.store_template import EMPTY

ROOT, ISSUER = pki.current_ca("Fleet")
N1, N2, N3 = (NodeName(f"n{number}") for number in (1, 2, 3))
ADDRESSES = {N1: "127.0.0.1", N2: "127.0.0.2", N3: "127.0.0.3"}
BALANCER = "127.0.0.9"
SHARED = "conf.example.com"


def proof(name: str, token: str = "", response: str = "") -> Proof:
    token = token or f"t-{name.replace('.', '-')}"
    return Proof(
        name=name,
        authorization_url="https://ca.example/a",
        challenge_url="https://ca.example/c",
        token=token,
        response=response or f"{token}.thumb",
    )


class Place:
    """A store with three nodes: the first two serve a shared name behind a load balancer, each has a name of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fleet = FakeFleet()
        self.woken = 0
        self.expected: dict[NodeName, Collection[str]] = {}

    def showing(self, port: int = 1) -> HttpShowing:
        async def expecting() -> Mapping[NodeName, Collection[str]]:
            return self.expected

        return HttpShowing(
            self.store.placed_challenges,
            Inventories(self.store),
            self.fleet,
            checker=ChallengeChecker(http_port=port),
            expecting=expecting,
            placed=self.wake,
        )

    def wake(self) -> None:
        self.woken += 1

    async def placed(self) -> set[tuple[str, str]]:
        return {(each.node, each.token) for each in await self.store.placed_challenges.all()}


@asynccontextmanager
async def at(directory: Path) -> AsyncIterator[Place]:
    store = await EMPTY.copy(directory)
    try:
        for name, address in ADDRESSES.items():
            shared = [BALANCER] if name != N3 else []
            await store.nodes.add(
                name, "node", names=[f"{name}.example.com"], addresses=[address, *shared], now_s=1.0
            )
        made = pki.current_leaf(ISSUER, [SHARED, "*.wild.example.com"])
        material = read_tls(
            certificate=made.certificate_pem + ISSUER.certificate_pem, private_key=made.key_pem
        )
        record, _ = await store.certificates.add(new_certificate(material), now_s=1.0)
        await store.assignments.assign(record.id, [N1, N2], "server")
        yield Place(store)
    finally:
        await store.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with at(tmp_path / "data") as made:
        yield made


def until_s() -> float:
    return time.time() + 3600


def web(address: str, *proofs: Proof) -> Node:
    """A node's server that shows these proofs."""
    shown = {PATH + each.token: each.response for each in proofs}
    return Node(
        address,
        lambda _host, path: answer(shown[path].encode()) if path in shown else answer(b"", "404 Not Found"),
    )


# -- placing


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        (SHARED, {N1, N2}),
        (SHARED.upper() + ".", {N1, N2}),
        ("a.wild.example.com", {N1, N2}),
        ("n3.example.com", {N3}),
        ("127.0.0.3", {N3}),
    ],
)
async def test_a_proof_is_placed_on_every_node_that_a_ca_may_reach_by_the_name(place, name, nodes):
    shown = proof(name, token="t")
    await place.showing().place([shown], until_s=until_s())
    assert await place.placed() == {(node, "t") for node in nodes}
    assert place.woken == 1
    await place.showing().remove([shown])
    assert await place.placed() == set()
    assert place.woken == 2
    await place.showing().remove([shown])


async def test_nodes_that_are_to_get_their_first_certificate_show_its_proofs(place):
    place.expected = {N3: ["new.example.com"], NodeName("gone"): ["new.example.com"]}
    await place.showing().place([proof("new.example.com", token="t")], until_s=until_s())
    assert await place.placed() == {(N3, "t")}


async def test_a_name_that_nobody_serves_is_told_and_nothing_placed(place):
    shown = [proof(SHARED), proof("nobody.example.com")]
    with pytest.raises(CaError, match="no node serves nobody") as refused:
        await place.showing().place(shown, until_s=until_s())
    assert not refused.value.is_final
    assert await place.placed() == set()
    (missing,) = await place.showing().missing([proof("nobody.example.com")])
    assert (missing.name, "no node serves" in missing.message) == ("nobody.example.com", True)


@pytest.mark.parametrize("token", ["../x", "a/b", "..", "a\n", "a" * 129])
async def test_a_token_of_a_hostile_ca_is_refused_for_good_and_reaches_no_node(place, token):
    with pytest.raises(CaError, match="cannot be shown") as refused:
        await place.showing().place([proof(SHARED, token=token)], until_s=until_s())
    assert refused.value.is_final
    assert await place.placed() == set()


async def test_an_answer_of_a_hostile_ca_is_refused_and_not_told(place):
    with pytest.raises(CaError) as refused:
        await place.showing().place([proof(SHARED, response="<script>secret")], until_s=until_s())
    assert "secret" not in str(refused.value)


async def test_a_node_without_room_is_missing_and_keeps_no_other_node_from_showing_it(place):
    full = {f"t{number}": "x" for number in range(CHALLENGES_MAX)}
    await place.store.placed_challenges.place({N1: full}, until_s=until_s())
    shown = [proof(SHARED)]
    await place.showing().place(shown, until_s=until_s())
    assert await place.store.placed_challenges.of([shown[0].token]) != []
    async with servers(
        Node(ADDRESSES[N1], lambda *_: answer(b"", "404 Not Found")), web("127.0.0.2", *shown)
    ) as port:
        (missing,) = await place.showing(port).missing(shown)
    assert missing.where == "node 'n1', port 80"
    assert f"not in the node's list of challenges, which has at most {CHALLENGES_MAX}" in missing.message


async def test_more_than_a_node_can_show_is_refused_with_the_node(place):
    many = [proof(f"a{number}.wild.example.com") for number in range(CHALLENGES_MAX + 1)]
    with pytest.raises(CaError, match=r"node 'n[12]' would have to show 65 challenges"):
        await place.showing().place(many, until_s=until_s())


# -- looking


async def test_nothing_is_missing_where_every_node_answers_at_its_own_address(place):
    shown = [proof(SHARED), proof("n3.example.com")]
    await place.showing().place(shown, until_s=until_s())
    nodes = [web(address, *shown) for address in ADDRESSES.values()]
    balancer = Node(BALANCER, lambda _host, _path: answer(b"", "500 Internal Server Error"))
    async with servers(*nodes, balancer) as port:
        assert await place.showing(port).missing(shown) == []
    assert [each.asked for each in nodes[:2]] == [[(SHARED, PATH + shown[0].token)]] * 2
    assert nodes[2].asked == [("n3.example.com", PATH + shown[1].token)]
    assert balancer.asked == []


async def test_who_does_not_answer_rightly_is_named_with_what_was_seen_and_what_it_says_itself(place):
    shown = [proof(SHARED)]
    token = shown[0].token
    await place.showing().place(shown, until_s=until_s())
    place.fleet.addresses = {N1: "127.0.0.1"}
    async with servers(web("127.0.0.1")) as port:
        found = {each.where: each for each in await place.showing(port).missing(shown)}
        assert set(found) == {"node 'n1', port 80", "node 'n2', port 80"}
        first, second = found.values()
        assert (first.name, "answers 404; the node is being told about it" in first.message) == (SHARED, True)
        assert (first.is_being_told, second.is_being_told) == (True, False)
        assert "nobody answers at 127.0.0.2" in second.message
        assert "the node is not connected" in second.message
        await place.store.placed_challenges.note_kept({N1: {token: ""}, N2: {token: "no room\x1b[31m"}})
        first, second = await place.showing(port).missing(shown)
        assert ("the node says that it shows it" in first.message, first.is_being_told) == (True, False)
        assert "the node says: no room\N{REPLACEMENT CHARACTER}[31m" in second.message
        await place.showing().remove(shown)
        first, _ = await place.showing(port).missing(shown)
        assert "not in the node's list of challenges" in first.message
    assert "thumb" not in str(found)


async def test_an_acknowledgement_alone_is_no_proof(place):
    shown = [proof("n3.example.com")]
    await place.showing().place(shown, until_s=until_s())
    await place.store.placed_challenges.note_kept({N3: {shown[0].token: ""}})
    async with servers(web("127.0.0.3")) as port:
        (missing,) = await place.showing(port).missing(shown)
    assert "answers 404; the node says that it shows it" in missing.message


async def test_an_address_at_which_nobody_answers_does_not_count_where_another_of_the_node_answers(place):
    shown = [proof("n4.example.com")]
    await place.store.nodes.add(
        NodeName("n4"), "node", names=["n4.example.com"], addresses=["127.0.0.4", "127.0.0.5"], now_s=1.0
    )
    async with servers(web("127.0.0.5", *shown)) as port:
        assert await place.showing(port).missing(shown) == []
    async with servers(web("127.0.0.5", *shown), web("127.0.0.4")) as port:
        (missing,) = await place.showing(port).missing(shown)
    assert "127.0.0.4" in missing.message


async def test_a_node_without_an_address_is_asked_where_it_is_connected_from(place):
    n4 = NodeName("n4")
    await place.store.nodes.add(n4, "node", names=["n4.example.com"], addresses=[], now_s=1.0)
    shown = [proof("n4.example.com")]
    (missing,) = await place.showing().missing(shown)
    assert "no address of it is known" in missing.message
    place.fleet.addresses[n4] = "in-process"
    (missing,) = await place.showing().missing(shown)
    assert "no address of it is known" in missing.message
    place.fleet.addresses[n4] = "127.0.0.4"
    async with servers(web("127.0.0.4", *shown)) as port:
        assert await place.showing(port).missing(shown) == []


async def test_who_was_not_asked_in_time_is_missing(place, monkeypatch):
    monkeypatch.setattr(http01, "ALL_CHECKED_S", 0.0)
    missing = await place.showing().missing([proof(SHARED)])
    assert [each.message.partition(";")[0] for each in missing] == ["it could not be asked in time"] * 2
