"""What is held back after a service did not take a bundle: few attempts, each leaves something to install."""

import pytest

from nodeagent.core.culprit import Suspects, hold_back_next
from nodeagent.core.services import Consumer

ALL = ("server", "client", "trust")


def consumer(*uses: str, impact: str = "none", min_interval_s: float = 0.0) -> Consumer:
    return Consumer(
        name="web",
        uses=uses,
        reload=("/bin/true",),
        timeout_s=5,
        verify_timeout_s=5,
        endpoints=(),
        impact=impact,
        min_interval_s=min_interval_s,
    )


def held_back(changed, held=(), *consumers: Consumer, unwritten=(), needed=()):
    suspects = Suspects(consumers, frozenset(unwritten))
    return [set(one) for one in hold_back_next(changed, frozenset(held), suspects, needed=needed)]


def test_each_part_that_the_service_uses_is_suspected_alone_then_all_together():
    assert held_back(ALL, (), consumer("server", "trust")) == [{"trust"}, {"server"}, {"server", "trust"}]
    assert held_back(ALL, (), consumer("trust")) == [{"trust"}]
    assert held_back(ALL, (), consumer(*ALL)) == [{"trust"}, {"client"}, {"server"}]


def test_what_was_held_back_stays_so_and_something_is_always_left():
    assert held_back(ALL, {"trust"}, consumer(*ALL)) == [{"trust", "client"}, {"trust", "server"}]
    assert held_back(ALL, {"trust", "client"}, consumer(*ALL)) == []
    assert held_back(("server",), (), consumer("server")) == []
    assert held_back(("server", "trust"), (), consumer("client")) == []


@pytest.mark.parametrize("noticed", [{"impact": "drops_calls"}, {"min_interval_s": 60.0}])
def test_a_service_whose_reload_people_notice_is_kept_from_all_that_it_uses_at_once(noticed):
    assert held_back(ALL, (), consumer("server", "trust", **noticed)) == [{"server", "trust"}]
    assert held_back(ALL, (), consumer(*ALL, **noticed)) == []


def test_a_copy_that_could_not_be_written_needs_no_search():
    assert held_back(ALL, (), consumer(*ALL), unwritten={"client"}) == [{"client"}]
    assert held_back(ALL, {"trust"}, consumer(*ALL), unwritten={"client"}) == [{"trust", "client"}]
    assert held_back(("server",), (), consumer(*ALL), unwritten={"server"}) == []
    assert held_back(("server",), (), consumer(*ALL), unwritten={"client"}) == []


def test_what_is_needed_is_never_held_back():
    assert held_back(ALL, (), consumer(*ALL), needed={"trust"}) == [
        {"client"},
        {"server"},
        {"client", "server"},
    ]
    assert held_back(ALL, (), consumer("server", "client"), needed={"trust", "server"}) == [{"client"}]
    assert held_back(ALL, (), consumer("trust"), needed={"trust"}) == []
    assert held_back(ALL, (), consumer(*ALL), unwritten={"server"}, needed={"server"}) == []


def test_a_service_whose_reload_people_notice_is_not_reloaded_with_the_part_that_is_needed():
    noticed = consumer("server", "client", impact="drops_calls")
    assert held_back(ALL, (), noticed, needed={"trust", "server"}) == []
    assert held_back(ALL, (), noticed, needed={"trust"}) == [{"server", "client"}]
