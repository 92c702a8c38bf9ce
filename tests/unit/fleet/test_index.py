from random import Random

import pytest

from common.ids import NodeName
from manager.domain.brief import brief_of
from manager.domain.facts import NodeFacts
from manager.fleet import index as subject
from manager.fleet.index import BEHIND_MAX, Index


class Fleet:
    """Facts of nodes, their index, and how many briefs were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.facts: dict[NodeName, NodeFacts] = {}
        self.index = Index(self.facts)
        self.made = 0
        monkeypatch.setattr(subject, "brief_of", self._make)

    def _make(self, facts: NodeFacts):
        self.made += 1
        return brief_of(facts)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            name = NodeName(f"n{number:05}")
            self.facts[name] = NodeFacts(name=name, kind="node", joined=number % 3 != 0)
            self.index.note(name)

    def cost(self, act) -> int:
        before = self.made
        act()
        return self.made - before


@pytest.fixture
def fleet(monkeypatch) -> Fleet:
    return Fleet(monkeypatch)


@pytest.mark.parametrize("count", [100, 10_000])
def test_one_change_costs_a_reader_one_brief_however_many_nodes_there_are(fleet, count):
    fleet.add(*range(count))
    assert fleet.cost(fleet.index.counts) <= BEHIND_MAX
    fleet.index.note(NodeName("n00007"))
    costs = [fleet.cost(fleet.index.counts), fleet.cost(fleet.index.briefs), fleet.cost(fleet.index.names)]
    assert costs == [1, 0, 0]


def test_no_reader_pays_for_more_nodes_than_may_be_behind(fleet):
    fleet.add(*range(5 * BEHIND_MAX))
    assert fleet.cost(fleet.index.counts) <= BEHIND_MAX


def test_what_is_read_is_what_the_nodes_are_after_any_changes(fleet):
    random = Random(7)
    fleet.add(*range(50))
    for step in range(500):
        name = NodeName(f"n{random.randrange(60):05}")
        facts = fleet.facts.get(name)
        if facts is None:
            fleet.add(int(name[1:]))
        elif random.random() < 0.2:
            del fleet.facts[name]
            fleet.index.note(name)
        else:
            facts.joined = random.random() < 0.5
            facts.connected_s = random.choice([None, float(step)])
            facts.last_report_s = float(step)
            fleet.index.note(name)
        if random.random() < 0.3:
            wanted = {name: brief_of(each) for name, each in fleet.facts.items()}
            states = [each.state for each in wanted.values()]
            assert fleet.index.briefs() == wanted
            assert fleet.index.counts() == {state: states.count(state) for state in states}
            assert fleet.index.names() == sorted(wanted)


def test_what_was_read_stays_as_it_was(fleet):
    fleet.add(1, 2)
    before = fleet.index.briefs()
    fleet.add(3)
    fleet.index.briefs()
    assert sorted(before) == ["n00001", "n00002"]


def test_a_node_that_came_and_went_between_two_lists_of_names_is_in_none(fleet):
    fleet.add(1, 2)
    assert len(fleet.index.names()) == 2
    # nobody has asked for more than the names yet
    for name in list(fleet.facts)[:1]:
        del fleet.facts[name]
        fleet.index.note(name)
    assert fleet.index.names() == ["n00002"]
