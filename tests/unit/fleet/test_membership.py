"""When a manager evicts itself: told by another one, or by its own clock; and what it does while it is alone."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from common.errors import MembershipLostError, StorageError
from common.ids import NodeName
from manager.domain.members import Member, MemberId
from manager.fleet.leading import Lead
from manager.fleet.membership import Membership
from manager.store.members import LEASE_S

M = NodeName("management")


class Members:
    """The rows, and what is wrong with the way to them."""

    def __init__(self, *others: int) -> None:
        self.rows: dict[int, NodeName] = {number: NodeName(f"m{number}") for number in others}
        self.overdue: list[int] = []
        self.is_away = False
        self._numbers = itertools.count(100)

    def _try(self) -> None:
        if self.is_away:
            raise StorageError("the server is down")

    async def join(self, node: NodeName) -> MemberId:
        self._try()
        number = next(self._numbers)
        self.rows[number] = node
        return MemberId(number)

    async def renew(self, number: MemberId) -> None:
        self._try()
        if number not in self.rows:
            raise MembershipLostError("evicted")

    async def leave(self, number: MemberId) -> None:
        self._try()
        self.rows.pop(number, None)

    async def expire(self) -> Sequence[Member]:
        self._try()
        gone, self.overdue = self.overdue, []
        return [_member(number, self.rows.pop(number)) for number in gone]

    async def list(self) -> Sequence[Member]:
        self._try()
        return [_member(number, node) for number, node in self.rows.items()]


def _member(number: int, node: NodeName) -> Member:
    return Member(id=MemberId(number), node=node, started_s=0, renewed_s=0)


class Duties:
    async def take(self, _name: str) -> bool:
        return True


class Managed:
    """A membership over these rows. `now` are the seconds of its own clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, members: Members, *, is_shared: bool = True) -> None:
        self.now = [1000.0]
        monkeypatch.setattr("manager.fleet.membership.time", SimpleNamespace(monotonic=lambda: self.now[0]))
        self.acted: list[int] = []
        self.lost = 0
        self.taken = 0
        self.freed = 0
        store = SimpleNamespace(
            members=members, duties=Duties(), is_shared=is_shared, act_as=self.acted.append
        )
        self.lead = Lead(store, taken=self._take)
        self.membership = Membership(store, M, lead=self.lead, lost=self._lose, freed=self._free)

    def _take(self) -> None:
        self.taken += 1

    async def _free(self) -> None:
        self.freed += 1

    def _lose(self) -> None:
        self.lost += 1


async def test_a_manager_is_ready_only_while_it_is_a_member(monkeypatch):
    there = Managed(monkeypatch, Members())
    assert there.membership.fault() == "this manager takes no nodes: it has not joined yet"
    await there.membership.join()
    assert (there.membership.fault(), there.acted, there.lead.is_ours) == ("", [100], True)


async def test_a_manager_that_was_evicted_ends_its_connections_and_is_another_member_then(monkeypatch):
    members = Members(1)
    there = Managed(monkeypatch, members)
    await there.membership.join()
    await there.membership.renew()
    del members.rows[100]
    await there.membership.renew()
    assert (there.lost, there.lead.is_ours) == (1, False)
    assert there.membership.fault() == "this manager takes no nodes: another manager evicted it"
    await there.membership.renew()
    assert (there.membership.id, there.acted, there.membership.fault()) == (101, [100, 101], "")
    assert (there.lead.is_ours, there.taken) == (True, 2)


async def test_a_manager_that_is_cut_off_from_the_others_counts_itself_out_when_its_lease_is_over(
    monkeypatch,
):
    members = Members(1)
    there = Managed(monkeypatch, members)
    await there.membership.join()
    await there.membership.renew()
    members.is_away = True
    there.now[0] += LEASE_S
    await there.membership.renew()
    assert there.lost == 0
    there.now[0] += 0.1
    await there.membership.renew()
    await there.membership.renew()
    assert (there.lost, there.membership.id) == (1, None)
    members.is_away = False
    await there.membership.renew()
    assert list(members.rows) == [1, 101], "what it was before is gone"


async def test_a_manager_that_is_alone_stays_a_member_while_the_store_is_away(monkeypatch):
    members = Members()
    there = Managed(monkeypatch, members)
    await there.membership.join()
    await there.membership.renew()
    members.is_away = True
    there.now[0] += 100 * LEASE_S
    await there.membership.renew()
    members.is_away = False
    await there.membership.renew()
    assert (there.lost, there.membership.id, there.membership.fault()) == (0, 100, "")


async def test_where_one_manager_is_alone_whoever_was_there_before_is_gone_at_its_start(monkeypatch):
    members = Members(7, 8)
    await Managed(monkeypatch, members, is_shared=False).membership.join()
    assert list(members.rows) == [100]
    members = Members(7, 8)
    await Managed(monkeypatch, members).membership.join()
    assert list(members.rows) == [7, 8, 100]


async def test_a_manager_that_ends_leaves_at_once(monkeypatch):
    members = Members(1)
    there = Managed(monkeypatch, members)
    await there.membership.join()
    await there.membership.leave()
    assert (list(members.rows), there.lost) == ([1], 0)
    assert there.membership.fault() == "this manager takes no nodes: it ends"


async def test_a_manager_that_counts_out_another_one_looks_at_what_is_free_then(monkeypatch):
    members = Members(1, 2)
    there = Managed(monkeypatch, members)
    await there.membership.join()
    await there.membership.renew()
    assert there.freed == 0
    members.overdue = [2]
    await there.membership.renew()
    assert (there.freed, list(members.rows)) == (1, [1, 100])
