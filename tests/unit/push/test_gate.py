import pytest

from manager.push.gate import CROWDED, DISPLACED, EXHAUSTED, FULL, HURRIED, Gate, Limits, Visitor
from manager.push.sources import KnownSources

NODE = "192.0.2.1"
SILENT = Limits().silence_s


def gate(**limits) -> Gate:
    return Gate(Limits(**limits), KnownSources([NODE]), 0.0)


def come(gate: Gate, address: str, now_s: float = 0.0, *, connections: int = 0) -> Visitor | None:
    return gate.arrive(address, connections=connections, now_s=now_s)


def begin(gate: Gate, now_s: float = 0.0) -> list[str]:
    """Let those begin who may, silent as they are."""
    begun = []
    for visitor in gate.beginners(now_s):
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


def test_handshakes_of_strangers_are_spread_and_those_of_nodes_are_not():
    there = gate(starts_burst=2, starts_per_s=1)
    rests = [there.rest_before_handshake_s(come(there, stranger(1)), 0.0) for _ in range(4)]
    assert rests == [0, 0, 1, 2]
    assert there.rest_before_handshake_s(come(there, NODE), 0.0) == 0


def test_where_a_node_has_logged_in_it_is_known_and_only_some_such_places_are_kept():
    sources = KnownSources()
    for number in range(10):
        sources.saw("n1", f"203.0.113.{number}")
    known = [number for number in range(10) if f"203.0.113.{number}" in sources]
    assert known == [6, 7, 8, 9]
    sources.read([], [])
    assert "203.0.113.9" not in sources
