"""When a manager stops, its agents come back one after the other, and not all at once."""

from types import SimpleNamespace

from common.errors import Reason
from manager.channel.keys import KeyRegistry
from manager.fleet.connections import GOODBYE_RETRY_S, RETURNS_PER_S, Connections


class Agent(SimpleNamespace):
    """A connection, of which only the goodbye is heard."""

    __hash__ = object.__hash__


def test_the_agents_of_a_manager_that_stops_come_back_at_the_pace_of_one_manager():
    said = []
    connections = Connections(KeyRegistry({}))
    for number in range(3000):
        agent = Agent(node=f"n{number}", goodbye=lambda reason, retry_s: said.append((reason, retry_s)))
        connections.count_on(agent)
    connections.close()
    assert {reason for reason, _ in said} == {Reason.BUSY}
    waits = sorted(retry_s for _, retry_s in said)
    assert waits[0] == GOODBYE_RETRY_S
    busiest = max(sum(start <= each < start + 1 for each in waits) for start in range(20))
    print(f"3,000 agents over {waits[-1] - waits[0]:.1f} s, {busiest} in the busiest second")  # noqa: T201
    assert busiest <= RETURNS_PER_S + 1


def test_the_few_agents_of_most_managers_are_back_as_soon_as_before():
    said = []
    connections = Connections(KeyRegistry({}))
    for number in range(20):
        connections.count_on(Agent(node=f"n{number}", goodbye=lambda _reason, s: said.append(s)))
    connections.close()
    assert max(said) < GOODBYE_RETRY_S + 0.1
