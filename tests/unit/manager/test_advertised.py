"""Where nodes are told to dial: as the settings say, else by the management nodes' own names, of all managers; and who is told when that changes."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import InvalidInputError
from common.ids import MANAGEMENT_NODE
from common.wire.contact import ADDRESSES_MAX, can_be_kept
from manager.advertised import AdvertisedAddresses
from manager.domain.contact import Contact
from manager.domain.model import NodeDescription
from manager.store.store import Store
from tests.store_template import EMPTY

LISTENER = SimpleNamespace(port=9422)
SECOND = "management-2"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await EMPTY.copy(tmp_path)
    yield made
    await made.close()


class Manager:
    def __init__(self, store: Store, name: str, *advertise: str) -> None:
        self.store, self.name = store, name
        self.settings = SimpleNamespace(advertise=advertise)
        self.announced: list[Contact] = []
        self.advertised = AdvertisedAddresses(
            self.settings,
            LISTENER,
            store=store,
            own_node=name,
            read_again=lambda: self.settings,
            announce=self.announced.append,
        )

    async def call(self, *, names=(), addresses=()) -> None:
        """Describe this manager's node anew."""
        await self.store.catalogue.describe(self.name, NodeDescription(names=names, addresses=addresses))

    @property
    def told(self) -> list[tuple[str, ...]]:
        return [contact.addresses for contact in self.announced]


async def manager_of(
    store: Store,
    *advertise: str,
    name=MANAGEMENT_NODE,
    names=("m.example",),
    addresses=("2001:db8::1",),
) -> Manager:
    await store.nodes.add(name, "management", names=names, addresses=addresses, now_s=0)
    return Manager(store, name, *advertise)


async def test_what_is_advertised_goes_before_the_managers_own_names(store: Store):
    manager = await manager_of(store, "lb.example:9422")
    await manager.advertised.refresh()
    assert manager.announced == [Contact(addresses=("lb.example:9422",))]


async def test_new_names_are_announced_once(store: Store):
    manager = await manager_of(store)
    await manager.advertised.refresh()
    await manager.advertised.refresh()
    await manager.call(names=["m2.example"])
    await manager.advertised.refresh()
    assert manager.told == [("[2001:db8::1]:9422", "m.example:9422"), ("m2.example:9422",)]


async def test_settings_that_were_read_again_are_announced_and_bad_ones_are_not(store: Store):
    manager = await manager_of(store, "lb.example:9422")
    await manager.advertised.refresh()

    def refuse():
        raise InvalidInputError("advertise", "it is not TOML")

    manager.advertised._read_again = refuse
    await manager.advertised.read_settings()
    assert manager.advertised() == ("lb.example:9422",)
    manager.advertised._read_again = lambda: SimpleNamespace(advertise=("lb2.example:9422",))
    await manager.advertised.read_settings()
    await manager.advertised.refresh()
    assert manager.told == [("lb.example:9422",), ("lb2.example:9422",)]


async def test_of_many_names_no_more_are_told_than_a_token_can_carry(store: Store):
    manager = await manager_of(store, names=tuple(f"m{number}.example" for number in range(32)))
    await manager.advertised.refresh()
    (told,) = manager.told
    assert len(told) == ADDRESSES_MAX
    assert can_be_kept(told)


async def test_a_manager_without_a_name_announces_nothing(store: Store):
    manager = await manager_of(store, names=(), addresses=())
    await manager.advertised.refresh()
    assert manager.announced == []


# -- several managers


async def test_all_managers_announce_the_same_list_in_which_they_take_turns(store: Store):
    first = await manager_of(store, addresses=("192.0.2.1",))
    second = await manager_of(store, name=SECOND, names=("m2.example",), addresses=("192.0.2.2",))
    for manager in (first, second, first):
        await manager.advertised.refresh()
    expected = ("192.0.2.1:9422", "192.0.2.2:9422", "m.example:9422", "m2.example:9422")
    assert first.told == [("192.0.2.1:9422", "m.example:9422"), expected]
    assert second.told == [expected]
    assert first.advertised() == second.advertised() == expected


async def test_a_load_balancer_that_all_of_them_advertise_is_announced_once(store: Store):
    first = await manager_of(store, "lb.example:9422")
    second = await manager_of(store, "lb.example:9422", name=SECOND)
    for manager in (first, second, first):
        await manager.advertised.refresh()
    assert first.told == second.told == [("lb.example:9422",)]


async def test_a_manager_that_is_away_is_still_announced_and_one_that_was_removed_is_not(store: Store):
    first = await manager_of(store, "m.example:9422")
    second = await manager_of(store, "m2.example:9422", name=SECOND)
    await second.advertised.refresh()
    await first.advertised.refresh()
    again = Manager(store, MANAGEMENT_NODE, "m.example:9422")  # was started since; the second was not
    await again.advertised.refresh()
    await store.nodes.remove(SECOND)
    await again.advertised.refresh()
    assert again.told == [("m.example:9422", "m2.example:9422"), ("m.example:9422",)]


async def test_of_more_addresses_than_a_token_can_carry_each_manager_keeps_some(store: Store):
    managers = [
        await manager_of(
            store, name=f"management-{number}", names=[f"n{each}.m{number}.example" for each in range(16)]
        )
        for number in range(5)
    ]
    for manager in managers:
        await manager.advertised.refresh()
    await managers[0].advertised.refresh()
    told = managers[0].told[-1]
    assert can_be_kept(told)
    shares = [sum(f".m{number}." in each for each in told) for number in range(5)]
    assert shares == [3, 3, 3, 3, 3], told


async def test_what_did_not_change_is_not_written_again(store: Store):
    manager = await manager_of(store, "m.example:9422")
    await manager.advertised.refresh()

    async def refuse(*_args):
        raise AssertionError("it was written again")

    store.address_book.keep = refuse  # type: ignore[method-assign]
    await manager.advertised.refresh()
    await Manager(store, MANAGEMENT_NODE, "m.example:9422").advertised.refresh()
