"""An inventory of which only what changed is read again is the one that reading everything gives, after any changes; so is what is wrong by it."""

import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from common.bundle.manifest import SLOTS
from common.codes import KeyKind
from common.errors import CertcastError
from common.ids import CertificateId, NodeName, TrustedCaId
from common.pki.certificate import decode
from manager.domain.alarms import conditions_of_inventory
from manager.domain.incremental_conditions import IncrementalConditions
from manager.domain.inventory import Inventory
from manager.domain.model import KeyChange, NodeDescription
from manager.domain.partial_inventory import nodes_concerned
from manager.pki.read.batch import ImportFile
from manager.store import journal
from manager.store.inventory import Inventories
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.uploads import Edit, NewKey, Upload
from tests.pki import NOW_S, Made, make_intermediate, make_key, make_leaf, make_root, sign_request
from tests.unit.usecases.conftest import BUILTIN, World
from tests.unit.usecases.conftest import world as made_world

SEEDS = range(3)
STEPS = 60
NAMES = [NodeName(f"n{number}") for number in range(12)]
KEYS = [make_key() for _ in range(3)]
ROOTS = [make_root(f"Root {number}") for number in range(3)]
ISSUERS = [make_intermediate(root, f"Issuing {number}") for number, root in enumerate(ROOTS)]
BUILT_IN = [decode(BUILTIN.certificate_der)]

world = made_world


class Actor:
    """Makes changes as they are made in life, some of which are refused, and some undone."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.cases, self.store = world.use_cases, world.store
        self.outcomes = Counter[str]()
        self.inventory: Inventory

    async def act(self) -> None:
        self.inventory = await self.cases.inventory()
        kind: Callable[[], Awaitable[object]] = self.chance.choice(
            [
                *[self.upload] * 4,
                *[self.assign] * 3,
                *[self.edit] * 2,
                *[self.add_node] * 3,
                *[self.describe] * 2,
                self.answer,
                self.unassign,
                self.delete,
                self.remove_nodes,
                self.join,
                self.trust,
                self.edit_ca,
                self.distrust,
                self.import_files,
                self.undone,
                self.elsewhere,
            ]
        )
        self.world.wait(self.chance.choice((0.0, 0.0, 1.0)))
        try:
            await kind()
            self.outcomes[kind.__name__] += 1
        except CertcastError as error:
            self.outcomes[f"{kind.__name__}: {error.reason}"] += 1

    # -- what there is

    def some_nodes(self) -> list[NodeName]:
        there = list(self.inventory.nodes)
        return self.chance.sample(there, k=min(len(there), self.chance.choice((0, 1, 1, 3))))

    def a_certificate(self) -> CertificateId:
        return self.chance.choice([*self.inventory.entries, CertificateId(999)])

    def a_ca(self) -> TrustedCaId:
        return self.chance.choice([*self.inventory.trusted_cas, TrustedCaId(999)])

    def a_slot(self):
        return self.chance.choice(("server", "server", "client"))

    def leaf(self) -> Made:
        names = self.chance.sample([f"{name}.example.test" for name in NAMES], k=2)
        days = self.chance.choice((-1, 3, 300))
        key = self.chance.choice([None, *KEYS])
        return make_leaf(
            self.chance.choice([*ISSUERS, *ROOTS, None]), names, key=key, not_after_s=NOW_S + days * 86400
        )

    def text(self, made: Made) -> str:
        return made.certificate_pem + self.chance.choice(["", *(each.certificate_pem for each in ISSUERS)])

    # -- what is done

    async def upload(self) -> object:
        made = self.leaf()
        given = Upload(
            certificate=self.text(made), private_key=made.key_pem, nodes=self.some_nodes(), slot=self.a_slot()
        )
        return await self.cases.certificates.upload(given, actor="ada")

    async def assign(self) -> object:
        nodes = self.chance.choice((None, self.some_nodes(), self.some_nodes()))
        return await self.cases.assignments.assign(
            self.a_certificate(), nodes=nodes, slot=self.a_slot(), actor="ada"
        )

    async def unassign(self) -> object:
        (name, *_) = [*self.some_nodes(), NodeName("n0")]
        return await self.cases.assignments.unassign(name, self.a_slot(), actor="ada")

    async def edit(self) -> object:
        made = self.leaf()
        changes = [
            Edit(certificate=self.text(made), key=NewKey(pem=made.key_pem)),
            Edit(nodes=self.some_nodes(), slot=self.a_slot()),
            Edit(certificate=self.text(made), key=NewKey(pem=made.key_pem), nodes=self.some_nodes()),
        ]
        return await self.cases.certificates.edit(
            self.a_certificate(), self.chance.choice(changes), actor="ada"
        )

    async def delete(self) -> object:
        numbers = list({self.a_certificate() for _ in range(self.chance.choice((1, 1, 2)))})
        return await self.cases.certificates.delete(numbers, force=True, actor="ada")

    async def add_node(self) -> object:
        name = self.chance.choice(NAMES)
        slots = {self.a_slot(): self.a_certificate()} if self.chance.random() < 0.3 else {}
        described = NodeDescription(names=[f"{name}.example.test"], addresses=[], slots=slots)
        return await self.cases.nodes.add_without_token(name, described, actor="ada")

    async def describe(self) -> object:
        (name, *_) = [*self.some_nodes(), NodeName("n0")]
        names = [f"{self.chance.choice(NAMES)}.example.test"]
        slots = {self.a_slot(): self.chance.choice((None, self.a_certificate()))}
        described = NodeDescription(names=names, addresses=[], slots=self.chance.choice(({}, slots)))
        return await self.cases.nodes.describe(name, described, actor="ada")

    async def remove_nodes(self) -> object:
        return await self.cases.nodes.remove(*self.some_nodes()[:2], actor="ada")

    async def join(self) -> None:
        (name, *_) = [*self.some_nodes(), NodeName("n0")]
        former = self.inventory.nodes[name].public_key if name in self.inventory.nodes else ""
        key = f"ssh-ed25519 {self.chance.random()}"
        await self.store.nodes.pin(name, key, former_key=former)
        change = KeyChange(how="joined", at_s=1.0, address="192.0.2.7", fingerprint=key)
        await self.store.nodes.keep_key_change(name, change)

    async def trust(self) -> object:
        cas = self.chance.sample([*ROOTS, *ISSUERS], k=self.chance.choice((1, 2)))
        return await self.cases.trust.take("".join(each.certificate_pem for each in cas), actor="ada")

    async def edit_ca(self) -> object:
        return await self.cases.trust.edit(
            self.a_ca(),
            certificate=self.chance.choice((None, self.chance.choice(ROOTS).certificate_pem)),
            trusted_intermediate=self.chance.choice((None, True, False)),
            force=True,
            actor="ada",
        )

    async def distrust(self) -> object:
        return await self.cases.trust.delete([self.a_ca()], force=True, actor="ada")

    async def import_files(self) -> object:
        files = [
            ImportFile(f"{number}.pem", (self.text(made) + made.key_pem).encode())
            for number, made in enumerate([self.leaf(), self.leaf()])
        ]
        files.append(ImportFile("ca.pem", self.chance.choice(ROOTS).certificate_pem.encode()))
        return await self.cases.certificates.import_files(
            files, passphrase=None, skip_unusable=True, actor="ada"
        )

    async def answer(self) -> object:
        request = await self.cases.csrs.create(
            replaces=self.a_certificate(),
            changes=CsrChanges(),
            key=KeyChoice(kind=KeyKind.ECDSAP256),
            actor="ada",
        )
        return await self.cases.csrs.answer(
            request.id,
            certificate=sign_request(self.chance.choice(ISSUERS), request.pem),
            parameters="",
            take_over=True,
            nodes=self.some_nodes(),
            slot="server",
            actor="ada",
        )

    async def undone(self) -> None:
        inventories, now_s = self.cases._context.inventories, self.world.now[0]
        with contextlib.suppress(LookupError):
            async with self.store.transaction():
                await self.store.nodes.add(
                    self.chance.choice(NAMES), "node", names=(), addresses=(), now_s=now_s
                )
                await self.store.certificates.delete([self.a_certificate()], even_assigned=True)
                await inventories.changed(self.inventory)
                raise LookupError

    async def elsewhere(self) -> None:
        """Let another process change something: of that, nothing is known here but that it was."""
        await self.store.nodes.add(self.chance.choice(NAMES), "node", names=(), addresses=(), now_s=1.0)
        self.store._database.journal._contents.clear()


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_read_again_after_changes_is_what_reading_everything_gives(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
):
    # so that changes of more than a few are among them
    monkeypatch.setattr(journal, "TOUCHED_MAX", 3)
    whole = Counter[str]()
    reads = Inventories._read

    async def counted(inventories: Inventories, *args) -> Inventory:
        whole["reads"] += inventories is world.use_cases._context.inventories
        return await reads(inventories, *args)

    monkeypatch.setattr(Inventories, "_read", counted)
    actor, looked = Actor(world, random.Random(seed)), IncrementalConditions()
    compared = await world.use_cases.inventory()
    for _ in range(STEPS):
        await actor.act()
        if actor.chance.random() < 0.3:
            continue
        inventory = await world.use_cases.inventory()
        await check(inventory, await Inventories(world.store, BUILT_IN).current())
        concerned = nodes_concerned(compared, inventory)
        assert concerned is None or concerned >= differing(compared, inventory)
        compared = inventory
        due = looked.due(inventory, ())
        found = looked.look(inventory, [], due, republished={}, now_s=world.now[0])
        assert set(found) == set(conditions_of_inventory(inventory, republished={}, now_s=world.now[0]))
        assert len(found) == len(set(found))
    print(seed, dict(whole), dict(actor.outcomes))  # noqa: T201 - what was tried
    assert 2 <= whole["reads"] < STEPS / 2


def differing(before: Inventory, after: Inventory) -> set[NodeName]:
    """Return the nodes that are to hold something else."""
    return {name for name in after.nodes if content(before, name) != content(after, name)}


def content(inventory: Inventory, name: NodeName) -> object:
    if name not in inventory.nodes:
        return None
    numbers = [inventory.slots[name, slot] for slot in SLOTS if (name, slot) in inventory.slots]
    served = [inventory.chain(number, now_s=NOW_S).serving for number in numbers]
    content_of = [(number, inventory.entries[number].changed_s) for number in numbers]
    return inventory.nodes[name].id, content_of, served, inventory.trust.custom


async def check(found: Inventory, anew: Inventory) -> None:
    """Compare all that an inventory answers, in its order."""
    assert found.revision == anew.revision
    assert list(found.nodes.items()) == list(anew.nodes.items())
    assert list(found.entries.items()) == list(anew.entries.items())
    assert found.slots == anew.slots
    assert found.trusted_cas == anew.trusted_cas
    assert found.trust.custom == anew.trust.custom
    for number, entry in anew.entries.items():
        assert found.namesakes(entry.leaf) == anew.namesakes(entry.leaf)
        assert list(found.sharing(entry)) == list(anew.sharing(entry))
        assert found.chain(number, now_s=NOW_S) == anew.chain(number, now_s=NOW_S)
    assert found.chains.keys() == anew.chains.keys()
