"""Where nodes are told to dial: as the settings say, else by the management node's own names; and who is told when that changes."""

from types import SimpleNamespace

from common.errors import InvalidInputError
from common.wire.contact import ADDRESSES_MAX, can_be_kept
from manager.advertised import AdvertisedAddresses
from manager.domain.contact import Contact

LISTENER = SimpleNamespace(port=9422)


class Manager:
    def __init__(self, *advertise: str, names=("m.example",), addresses=("2001:db8::1",)) -> None:
        self.own = SimpleNamespace(names=names, addresses=addresses)
        self.settings = SimpleNamespace(advertise=advertise)
        self.announced: list[Contact] = []
        self.advertised = AdvertisedAddresses(
            self.settings,
            LISTENER,
            own=self.get_own,
            read_again=lambda: self.settings,
            announce=self.announced.append,
        )

    async def get_own(self):
        return self.own


async def test_what_is_advertised_goes_before_the_managers_own_names():
    manager = Manager("lb.example:9422")
    await manager.advertised.look()
    assert manager.announced == [Contact(addresses=("lb.example:9422",))]


async def test_new_names_are_announced_once():
    manager = Manager()
    await manager.advertised.look()
    await manager.advertised.look()
    manager.own = SimpleNamespace(names=("m2.example",), addresses=())
    await manager.advertised.look()
    assert manager.announced == [
        Contact(addresses=("[2001:db8::1]:9422", "m.example:9422")),
        Contact(addresses=("m2.example:9422",)),
    ]


async def test_settings_that_were_read_again_are_announced_and_bad_ones_are_not():
    manager = Manager("lb.example:9422")
    await manager.advertised.look()

    def refuse():
        raise InvalidInputError("advertise", "it is not TOML")

    manager.advertised._read_again = refuse
    await manager.advertised.read_settings()
    assert manager.advertised() == ("lb.example:9422",)
    manager.advertised._read_again = lambda: SimpleNamespace(advertise=("lb2.example:9422",))
    await manager.advertised.read_settings()
    await manager.advertised.look()
    assert [each.addresses for each in manager.announced] == [("lb.example:9422",), ("lb2.example:9422",)]


async def test_of_many_names_no_more_are_told_than_a_token_can_carry():
    manager = Manager(names=tuple(f"m{number}.example" for number in range(32)))
    await manager.advertised.look()
    (told,) = manager.announced
    assert len(told.addresses) == ADDRESSES_MAX
    assert can_be_kept(told.addresses)


async def test_a_manager_without_a_name_announces_nothing():
    manager = Manager(names=(), addresses=())
    await manager.advertised.look()
    assert manager.announced == []
