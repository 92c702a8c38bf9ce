import pytest

from common.ids import NodeName
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from manager.domain.duplicate_identity import RIVALS_FOR_S, RecentAgents
from manager.domain.facts import NodeFacts
from manager.domain.view_of_facts import view_of

NOW_S = 1000.0


def seats(*greetings: tuple[str, str], every_s: float = 30.0) -> RecentAgents:
    found = RecentAgents()
    for count, (agent, address) in enumerate(greetings):
        found = found.after(agent, address, NOW_S + count * every_s, displaces=False)
    return found


def test_an_agent_that_comes_back_after_another_had_its_seat_shows_that_both_run():
    found = seats(("a", "192.0.2.1"), ("b", "192.0.2.2"), ("a", "192.0.2.1"))
    assert found.rivals(NOW_S + 60) == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize(
    "greetings",
    [
        [("a", "192.0.2.1")] * 6,
        [("a", "192.0.2.1"), ("a", "192.0.2.2"), ("a", "192.0.2.1"), ("a", "192.0.2.2")],
        [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.1")],
    ],
    ids=["bad network", "two networks", "restarts"],
)
def test_one_agent_is_never_taken_for_two(greetings):
    assert seats(*greetings).rivals(NOW_S + 120) == ()


def test_an_agent_that_greets_while_another_is_connected_from_elsewhere_shows_at_once_that_both_run():
    found = RecentAgents().after("a", "192.0.2.1", NOW_S, displaces=False)
    found = found.after("b", "192.0.2.2", NOW_S + 1, displaces=True)
    assert found.rivals(NOW_S + 1) == ("192.0.2.1", "192.0.2.2")
    assert found.rivals(NOW_S + RIVALS_FOR_S + 2) == ()


@pytest.mark.parametrize(
    ("agent", "address", "displaces"),
    [("a", "192.0.2.2", True), ("b", "192.0.2.1", True), ("b", "192.0.2.2", False)],
    ids=["one agent that moved", "a restart that the manager noticed late", "a restart elsewhere"],
)
def test_an_agent_that_greets_in_the_ordinary_way_is_never_taken_for_two(agent, address, displaces):
    found = RecentAgents().after("a", "192.0.2.1", NOW_S, displaces=False)
    found = found.after(agent, address, NOW_S + 1, displaces=displaces)
    assert found.rivals(NOW_S + 1) == ()


def test_rivals_are_forgotten_once_they_have_stopped_for_a_while():
    found = seats(("a", "192.0.2.1"), ("b", "192.0.2.2"), ("a", "192.0.2.1"))
    assert found.rivals(NOW_S + RIVALS_FOR_S)
    assert found.rivals(NOW_S + RIVALS_FOR_S + 1) == ()


def test_a_slow_fight_that_goes_on_stays_an_alarm_however_long_it_lasts():
    found = seats(*[("a", "192.0.2.1"), ("b", "192.0.2.2")] * 40)
    assert found.rivals(NOW_S + 79 * 30)


def test_the_alarm_names_both_addresses():
    facts = NodeFacts(name=NodeName("n1"), kind="node", joined=True)
    facts.seats = seats(("a", "192.0.2.1"), ("b", "192.0.2.2"), ("a", "192.0.2.1"))
    found = {each.subject.kind: each for each in conditions_of_nodes([view_of(facts, NOW_S + 60)])}
    details = found[AlarmKind.DUPLICATE_IDENTITY].details
    assert "192.0.2.1 and 192.0.2.2" in details
