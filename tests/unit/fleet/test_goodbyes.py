"""Agents that are sent away come back one after the other, and not all at once."""

from types import SimpleNamespace

import pytest

from common.errors import Reason
from common.ids import NodeName
from manager.channel.keys import KeyRegistry
from manager.fleet.connections import GOODBYE_RETRY_S, RETURNS_PER_S, Connections


class Agent(SimpleNamespace):
    """A connection, of which only the goodbye is heard."""

    __hash__ = object.__hash__


class Fleet:
    """Agents that are connected, and what was said to them. `now` is the manager's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.now = [1000.0]
        monkeypatch.setattr("manager.fleet.connections.time", SimpleNamespace(monotonic=lambda: self.now[0]))
        self.said: list[tuple[Reason, float]] = []
        self.connections = Connections(KeyRegistry({}))
        self.names = [NodeName(f"n{number}") for number in range(count)]
        for name in self.names:
            self.connections.make_current(Agent(node=name, goodbye=lambda *said: self.said.append(said)))

    def busiest(self) -> int:
        """Return how many come back in the busiest second."""
        waits = sorted(retry_s for _, retry_s in self.said)
        return max(sum(start <= each < start + 1 for each in waits) for start in range(20))


def test_the_agents_of_a_manager_that_stops_come_back_at_the_pace_of_one_manager(monkeypatch):
    fleet = Fleet(monkeypatch, 3000)
    fleet.connections.reconnect_all()
    assert {reason for reason, _ in fleet.said} == {Reason.BUSY}
    assert min(retry_s for _, retry_s in fleet.said) == GOODBYE_RETRY_S
    assert fleet.busiest() <= RETURNS_PER_S + 1


def test_those_that_are_sent_back_one_by_one_do_too(monkeypatch):
    fleet = Fleet(monkeypatch, 3000)
    for name in fleet.names:
        fleet.connections.reconnect(name)
    assert {reason for reason, _ in fleet.said} == {Reason.BUSY}
    assert fleet.busiest() <= RETURNS_PER_S + 1


def test_who_is_sent_back_later_does_not_wait_for_those_who_are_back_already(monkeypatch):
    fleet = Fleet(monkeypatch, 301)
    for name in fleet.names[:-1]:
        fleet.connections.reconnect(name)
    fleet.now[0] += 2.0
    fleet.connections.reconnect(fleet.names[-1])
    assert fleet.said[-1] == (Reason.BUSY, GOODBYE_RETRY_S)


def test_the_few_agents_of_most_managers_are_back_as_soon_as_before(monkeypatch):
    fleet = Fleet(monkeypatch, 20)
    fleet.connections.reconnect_all()
    assert max(retry_s for _, retry_s in fleet.said) < GOODBYE_RETRY_S + 0.1
