import pytest

from common.runtime.ssh import LOGIN_TIMEOUT_S
from manager.channel.gate import CROWDED, DISPLACED, EXHAUSTED, FULL, HURRIED, SPEAKS_S, Gate
from manager.channel.limits import Limits
from manager.channel.sources import KnownSources
from manager.channel.visitors import Visitor

NODE = "192.0.2.1"
SILENT = Limits().silence_s


def gate(**limits) -> Gate:
    return Gate(Limits(**limits), KnownSources([NODE]), 0.0, wake=lambda: None)


def come(gate: Gate, address: str, now_s: float = 0.0, *, connections: int = 0) -> Visitor | None:
    return gate.arrive(address, connections=connections, now_s=now_s)


def begin(gate: Gate, now_s: float = 0.0) -> list[str]:
    """Let those begin who may, silent as they are."""
    begun = []
    while visitors := gate.beginners(now_s):
        for visitor in visitors:
            visitor.yields_at_s = now_s + gate.limits.silence_s
            visitor.dismiss = lambda why, gone=visitor: (gate.refuse(gone.address, why), gate.leave(gone))
            begun.append(visitor.address)
    return begun


def stranger(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250}"


def test_a_node_at_a_known_address_begins_whatever_strangers_hold():
    there = gate(logins=4, logins_per_address=4)
    for number in range(100):
        come(there, stranger(number))
    begin(there)
    come(there, NODE)
    assert begin(there) == [NODE]


def test_a_stranger_who_comes_later_takes_the_place_of_a_silent_one_of_a_source_with_more():
    there = gate(logins=4, logins_per_address=4)
    for _ in range(4):
        come(there, stranger(1))
    begin(there)
    come(there, stranger(2))
    assert begin(there, SILENT / 2) == []
    assert begin(there, SILENT) == [stranger(2)]
    assert there.refused == {DISPLACED: 1}
    assert there.logging_in == 4


def test_one_who_waits_and_cannot_begin_keeps_nobody_behind_it_waiting():
    there = gate(logins=3, logins_per_address=2)
    for _ in range(4):
        come(there, stranger(1))
    come(there, stranger(2))
    assert sorted(begin(there)) == [stranger(1), stranger(1), stranger(2)]


def test_sources_that_wait_have_their_turns():
    there = gate(logins=4, logins_per_address=4)
    for source in (1, 1, 1, 2, 3):
        come(there, stranger(source))
    assert begin(there)[:3] == [stranger(1), stranger(2), stranger(3)]


@pytest.mark.parametrize(
    ("limits", "address", "times", "reason"),
    [
        ({"pace_burst": 5}, lambda _: stranger(1), 6, HURRIED),
        ({"logins_per_address": 5}, lambda _: stranger(1), 6, CROWDED),
        ({"waiting": 5}, stranger, 6, FULL),
        ({"known_burst": 5}, lambda _: NODE, 6, HURRIED),
        ({"connections": 5}, stranger, 6, EXHAUSTED),
    ],
)
def test_too_many_are_turned_away_by_name(limits, address, times: int, reason: str):
    there = gate(**limits)
    for number in range(times):
        come(there, address(number))
    assert there.refused == {reason: 1}


def test_addresses_of_one_ipv6_network_count_as_one():
    there = gate(logins_per_address=2)
    for number in range(3):
        come(there, f"2001:db8::{number + 1}")
    assert there.refused == {CROWDED: 1}


def turns(gate: Gate, now_s: float) -> list[str]:
    taken = []
    while visitors := gate.take_turns(now_s):
        taken.extend(visitor.address for visitor in visitors)
    return taken


def test_handshakes_are_spread_source_by_source_and_those_of_nodes_wait_for_no_stranger():
    there = gate(starts_burst=2, starts_per_s=1, known_starts_burst=2, known_starts_per_s=10)
    for source in (1, 1, 1, 1, 2):
        there.ask_for_turn(come(there, stranger(source)))
    for _ in range(3):
        there.ask_for_turn(come(there, NODE))
    assert turns(there, 0.0) == [NODE, stranger(1), NODE, stranger(2)]
    assert there.until_turn_s(0.0) == pytest.approx(0.1)
    assert turns(there, 0.1) == [NODE]
    assert there.until_turn_s(0.1) == pytest.approx(0.9)
    assert turns(there, 1.0) == [stranger(1)]


def test_who_is_gone_takes_nobodys_turn_for_a_handshake():
    there = gate(starts_burst=1, starts_per_s=1)
    came = [come(there, stranger(1)) for _ in range(30)]
    for visitor in came:
        there.ask_for_turn(visitor)
        visitor.is_over = True
    there.ask_for_turn(come(there, stranger(2)))
    assert turns(there, 0.0) == [stranger(2)]
    assert turns(there, 1.0) == []
    assert there.until_turn_s(1.0) is None


def test_a_source_that_made_nothing_of_its_place_waits_behind_those_who_are_new():
    there = gate(logins=4, logins_per_address=4, waiting=8)
    for number in range(12):
        come(there, stranger(number))
        while begun := there.beginners(0.0):
            for each in begun:
                there.judge(each, 0.0, is_worthy=False)
                there.leave(each)
    for number in range(12):
        come(there, stranger(number))
    begin(there)
    for number in (*range(4, 12), 99):
        if (came := come(there, stranger(number))) is not None:
            there.spoke(came)
    # one place of four is for the others all the same
    assert stranger(99) in begin(there, SILENT)[:2]


def test_one_that_has_said_something_begins_before_all_that_have_not():
    there = gate(logins=4, logins_per_address=4)
    begin(there)
    for number in range(20):
        come(there, stranger(number))
    there.spoke(come(there, stranger(99)))
    assert begin(there)[0] == stranger(99)


def test_the_longest_silent_waiter_goes_for_one_that_is_new_once_it_could_have_spoken():
    there = gate(logins=0, waiting=3)
    for number, at_s in ((1, 0.0), (2, 0.01), (3, 0.02)):
        visitor = come(there, stranger(number), at_s)
        visitor.dismiss = lambda why, gone=visitor: there.refuse(gone.address, f"{why}: {gone.address}")
    assert come(there, stranger(4), 0.03) is None
    assert come(there, stranger(4), SPEAKS_S) is not None
    assert there.refused == {FULL: 1, f"{DISPLACED}: {stranger(1)}": 1}


def test_a_full_queue_turns_away_one_that_made_nothing_of_its_place_before_one_that_is_new():
    there = gate(logins=1, logins_per_address=1, waiting=2)
    spoiled = [come(there, stranger(number)) for number in range(3)]
    for each in (*there.beginners(0.0),):
        there.judge(each, 0.0, is_worthy=False)
    assert spoiled[2] is None
    there = gate(logins=1, logins_per_address=1, waiting=2)
    came = []
    for number in range(3):
        there.judge(Visitor(source=stranger(number), address="", is_known=False), 0.0, is_worthy=False)
        visitor = come(there, stranger(number))
        came.append(visitor)
        if visitor is not None:
            visitor.dismiss = lambda why, gone=visitor: there.refuse(gone.address, why)
    assert came[2] is None, "of those that are spoiled nobody goes for another"
    assert come(there, stranger(9)) is not None
    assert there.refused == {FULL: 1, DISPLACED: 1}
    assert there.waiting == 2


def test_what_a_source_made_of_its_place_is_forgotten_after_a_minute_or_with_a_node_that_comes():
    there = gate(logins=0, waiting=1)
    for source, is_worthy in ((1, False), (2, False), (2, True)):
        there.judge(Visitor(source=stranger(source), address="", is_known=False), 0.0, is_worthy=is_worthy)
    come(there, stranger(1), 0.0)
    assert come(there, stranger(2), 0.0) is not None, "it is as good as new"
    there = gate(logins=0, waiting=1)
    there.judge(Visitor(source=stranger(1), address="", is_known=False), 0.0, is_worthy=False)
    come(there, stranger(1), there.limits.penalty_s)
    assert come(there, stranger(2), there.limits.penalty_s) is None, "nobody is spoiled any more"


def test_where_a_node_has_logged_in_it_is_known_and_only_some_such_places_are_kept():
    sources = KnownSources()
    for number in range(10):
        sources.note_login("n1", f"203.0.113.{number}")
    known = [number for number in range(10) if f"203.0.113.{number}" in sources]
    assert known == [6, 7, 8, 9]
    sources.read([], {})
    assert "203.0.113.9" not in sources


def test_who_has_a_place_has_its_turn_long_before_its_login_must_be_over_even_if_nobody_proves_anything():
    limits = Limits()
    assert limits.known_logins / limits.known_starts_per_s < LOGIN_TIMEOUT_S / 2
    assert limits.logins / limits.starts_per_s < LOGIN_TIMEOUT_S / 2
