"""Fleets that come back at once, on a simulated clock: how soon their nodes are in, and what attackers gain and others lose."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from manager.channel.gate import Gate
from manager.channel.limits import Limits
from manager.channel.sources import KnownSources
from manager.channel.visitors import Visitor

NAT = "192.0.2.1"
OTHER_NAT = "192.0.2.2"
FLEET = 10_000
AIM_S = 30.0
SWEEP_S = 0.25


@dataclass(slots=True)
class Loop:
    """An event loop that carries so many handshakes a second and does nothing else; each then waits `login_s` for its peer, all in all."""

    gate: Gate
    carries_per_s: float
    login_s: float = 0.02
    now_s: float = 0.0
    begun: Counter[str] = field(default_factory=Counter)
    """Handshakes of each address's nodes, and of attackers there as "ADDRESS, attacked"."""
    first_s: dict[str, float] = field(default_factory=dict)
    last_s: dict[str, float] = field(default_factory=dict)
    connected: int = 0
    _nodes: set[Visitor] = field(default_factory=set)
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count = field(default_factory=itertools.count)

    def at(self, when_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._later, (when_s, next(self._order), do))

    def node(self, address: str) -> None:
        """Let a node dial. One that is turned away stays away."""
        visitor = self.gate.arrive(address, connections=self.connected, now_s=self.now_s)
        if visitor is not None:
            self._nodes.add(visitor)
            self.gate.spoke(visitor)

    def attacker(self, address: str) -> None:
        """Let somebody dial who begins, proves nothing, and dials again at once."""
        visitor = self.gate.arrive(address, connections=self.connected, now_s=self.now_s)
        if visitor is None:
            self.at(self.now_s + 0.5, lambda: self.attacker(address))
            return
        self.gate.spoke(visitor)

    def run(self, until_s: float) -> None:
        """Turn, until this moment."""
        while self.now_s < until_s:
            while self._later and self._later[0][0] <= self.now_s:
                heapq.heappop(self._later)[2]()
            beginners = self.gate.beginners(self.now_s)
            for visitor in beginners:
                rest_s = self.gate.ask_for_turn(visitor)
                visitor.yields_at_s = self.now_s + rest_s + self.gate.limits.dawdling_s
            turns = self.gate.take_turns(self.now_s)
            for visitor in turns:
                self._begin(visitor)
            if not beginners and not turns:
                soon_s = [self.now_s + SWEEP_S, *(each[0] for each in self._later[:1])]
                if (turn_s := self.gate.until_turn_s(self.now_s)) is not None:
                    soon_s.append(self.now_s + max(turn_s, 0.001))
                self.now_s = max(min(soon_s), self.now_s)

    def _begin(self, visitor: Visitor) -> None:
        self.now_s += 1 / self.carries_per_s
        is_node = visitor in self._nodes
        name = visitor.address if is_node else f"{visitor.address}, attacked"
        self.begun[name] += 1
        self.first_s.setdefault(name, self.now_s)
        self.last_s[name] = self.now_s
        self.at(self.now_s + self.login_s, lambda: self._end(visitor, is_node=is_node))

    def _end(self, visitor: Visitor, *, is_node: bool) -> None:
        self.gate.judge(visitor, self.now_s, is_worthy=is_node)
        self.gate.leave(visitor)
        self.connected += is_node
        if not is_node:
            self.attacker(visitor.address)


def loop(known: list[str], *, carries_per_s: float = 400.0, login_s: float = 0.02) -> Loop:
    gate = Gate(Limits(), KnownSources(known), 0.0, wake=lambda: None)
    return Loop(gate, carries_per_s, login_s)


def bound_of_failures(seconds: float) -> float:
    """How many handshakes that come to nothing may begin at known addresses."""
    limits = Limits()
    return limits.known_starts_burst + limits.known_starts_per_s * seconds + 1


@pytest.mark.parametrize(("carries_per_s", "login_s"), [(400, 0.02), (400, 0.7), (2000, 0.7)])
def test_ten_thousand_nodes_behind_one_address_are_in_as_soon_as_the_loop_carries_them(
    carries_per_s: float, login_s: float, record_property
):
    there = loop([NAT], carries_per_s=carries_per_s, login_s=login_s)
    for _ in range(FLEET):
        there.node(NAT)
    there.run(AIM_S)
    record_property("last_s", round(there.last_s[NAT], 1))
    assert there.begun[NAT] == FLEET
    assert there.gate.refused == {}


def test_ten_thousand_nodes_with_an_address_each_are_in_as_soon(record_property):
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(FLEET)]
    there = loop(addresses)
    for address in addresses:
        there.node(address)
    there.run(AIM_S)
    record_property("last_s", round(max(there.last_s.values()), 1))
    assert there.begun.total() == FLEET
    assert there.gate.refused == {}


def test_a_fleet_that_comes_back_again_and_again_is_never_turned_away():
    there = loop([NAT], carries_per_s=1000)
    for _ in range(3):
        for _ in range(FLEET):
            there.node(NAT)
        there.run(there.now_s + 12)
        there.connected = 0
    assert there.begun[NAT] == 3 * FLEET
    assert there.gate.refused == {}


@pytest.mark.parametrize("nodes", [0, 100, 2000, 8000])
def test_who_proves_nothing_begins_no_more_often_for_the_nodes_that_come_back_at_the_same_address(
    nodes: int, record_property
):
    there = loop([NAT])
    for number in range(max(nodes, 500)):
        if number < 500:
            there.attacker(NAT)
        if number < nodes:
            there.node(NAT)
    there.run(AIM_S)
    attacks = there.begun[f"{NAT}, attacked"]
    record_property("attacks", attacks)
    record_property("nodes", there.begun[NAT])
    assert attacks <= bound_of_failures(there.now_s)
    assert there.begun[NAT] >= nodes // 2


def test_a_fleet_is_back_as_soon_whoever_knocks_at_another_known_address(record_property):
    alone, beside = loop([NAT, OTHER_NAT]), loop([NAT, OTHER_NAT])
    for _ in range(1000):
        beside.attacker(OTHER_NAT)
    beside.run(1.0)
    for there in (alone, beside):
        there.now_s = 1.0
        for _ in range(2000):
            there.node(NAT)
        there.run(AIM_S)
        assert there.begun[NAT] == 2000
    quiet_s, attacked_s = alone.last_s[NAT] - 1, beside.last_s[NAT] - 1
    record_property("quiet_s", round(quiet_s, 1))
    record_property("attacked_s", round(attacked_s, 1))
    assert attacked_s <= 2 * quiet_s
    assert beside.begun[f"{OTHER_NAT}, attacked"] <= bound_of_failures(beside.now_s)


@pytest.mark.parametrize("address", [OTHER_NAT, "198.51.100.7"])
def test_one_that_comes_from_elsewhere_while_a_fleet_comes_back_begins_at_once(address: str):
    there = loop([NAT, OTHER_NAT])
    for _ in range(FLEET):
        there.node(NAT)
    there.run(5.0)
    there.node(address)
    there.run(6.0)
    assert there.first_s[address] - 5.0 < 0.1
    assert there.begun[NAT] < FLEET


def test_what_a_fleet_proved_does_not_speed_up_who_comes_afterwards():
    there = loop([NAT])
    for _ in range(FLEET):
        there.node(NAT)
    there.run(AIM_S)
    before_s = there.now_s
    for _ in range(500):
        there.attacker(NAT)
    there.run(before_s + AIM_S)
    assert there.begun[f"{NAT}, attacked"] <= bound_of_failures(AIM_S)
