"""Who has a place at the HTTPS endpoint while strangers come faster than they have to yield."""

from manager.http.seat_limits import SeatLimits
from manager.http.seats import DISPLACED, FULL, SPARED_MOST, HttpsSeats

KNOWN = "192.0.2.1"


def crowded(total: int) -> HttpsSeats:
    """Return an endpoint that as many strangers have filled just now, from an address each."""
    seats = HttpsSeats(
        SeatLimits(
            total=total, per_source=total // 2, is_proxy=lambda _address: False, is_known={KNOWN}.__contains__
        )
    )
    for number in range(total):
        assert seats.take(f"198.51.100.{number}", 0.0) is not None
    return seats


def test_who_is_known_gets_a_place_of_a_stranger_who_need_not_yield_yet():
    seats = crowded(8)
    taken = [seats.take(KNOWN, 0.0) for _ in range(4)]
    assert None not in taken
    assert seats.refused == {DISPLACED: 4}


def test_another_stranger_gets_none():
    seats = crowded(8)
    assert seats.take("203.0.113.1", 0.0) is None
    assert seats.refused == {FULL: 1}


def test_a_stranger_takes_no_place_of_one_who_is_known():
    seats = crowded(8)
    for _ in range(4):
        seats.take(KNOWN, 0.0)
    for number in range(100):
        seats.take(f"203.0.113.{number}", 2.0)
    assert seats._connections.held_by(KNOWN) == 4


def test_of_one_who_is_known_a_stranger_takes_what_is_more_than_a_browser_keeps():
    seats = crowded(40)
    for _ in range(20):
        seats.take(KNOWN, 0.0)
    for number in range(100):
        seats.take(f"203.0.113.{number}", 2.0)
    assert seats._connections.held_by(KNOWN) == SPARED_MOST
