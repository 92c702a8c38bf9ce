"""When a certificate is renewed, and how often its CA is asked."""

from dataclasses import replace

import pytest

from common.ids import fingerprint_of
from common.pki.expiry import DAY_S
from manager.domain.renewal.moments import (
    ASKED_AGAIN_S,
    ASKED_LEAST_S,
    LADDER_S,
    LIFE_LEAST_S,
    WINDOW_LADDER_S,
    Validity,
    Window,
    ari_id,
    counting,
    is_early,
    poll_at_s,
    renewed_s,
    retry_at_s,
    why_too_short,
    window_from_s,
)

NOW_S = 1_800_000_000.0


def validity(days: int, name: str = "a") -> Validity:
    """Return that of a certificate that is valid from now on for so many days."""
    return Validity(
        not_before_s=int(NOW_S),
        not_after_s=int(NOW_S) + days * DAY_S - 1,
        fingerprint=fingerprint_of(name.encode()),
    )


def test_the_example_of_rfc_9773_has_its_identifier():
    key_id = "69:88:5B:6B:87:46:40:41:E1:B3:7B:84:7B:A0:AE:2C:DE:01:C8:D4"
    assert ari_id(key_id, "87654321") == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize(
    ("serial_no", "encoded"), [("01", "AQ"), ("7F", "fw"), ("80", "AIA"), ("00", "AA"), ("0100", "AQA")]
)
def test_a_serial_number_is_encoded_as_der_has_it(serial_no, encoded):
    assert ari_id("00", serial_no) == f"AA.{encoded}"


@pytest.mark.parametrize(("key_id", "serial_no"), [(None, "01"), ("00", "-1001"), ("00", "-01"), ("00", "")])
def test_a_certificate_that_no_ca_knows_by_key_and_serial_number_cannot_be_asked_about(key_id, serial_no):
    assert ari_id(key_id, serial_no) is None


@pytest.mark.parametrize(("days", "left"), [(200, 200 / 3), (45, 15), (10, 10 / 3), (9, 4.5), (6, 3)])
def test_without_a_window_a_third_of_the_lifetime_is_left_or_half_of_a_short_one(days, left):
    found = renewed_s(validity(days), window=None)
    latest_s = NOW_S + (days - left) * DAY_S
    assert found is not None
    assert latest_s - days * DAY_S / 30 - 1 <= found <= latest_s


def test_certificates_of_one_day_are_renewed_one_after_the_other():
    moments = sorted(renewed_s(validity(45, str(number)), window=None) or 0.0 for number in range(100))
    assert moments[-1] - moments[0] > 0.9 * 1.5 * DAY_S
    assert len({int(each // 3600) for each in moments}) > 25


def test_in_a_window_each_certificate_has_its_own_moment_for_good():
    window = Window(start_s=NOW_S, end_s=NOW_S + 2 * DAY_S)
    moments = [renewed_s(validity(45, str(number)), window=window) or 0.0 for number in range(100)]
    assert moments == [renewed_s(validity(45, str(number)), window=window) for number in range(100)]
    assert all(window.start_s <= each < window.end_s for each in moments)
    assert len(set(moments)) == 100


@pytest.mark.parametrize("days", [45, 6])
@pytest.mark.parametrize("late_days", [0, 1, 400, 1e6])
def test_a_window_that_leaves_no_time_is_not_waited_for(days: int, late_days: float):
    given = validity(days, "f")
    start_s = given.not_after_s + late_days * DAY_S
    moment_s = renewed_s(given, window=Window(start_s=start_s, end_s=start_s + DAY_S))
    assert given.not_after_s - moment_s == pytest.approx(days * DAY_S / 10, abs=DAY_S / 100)


def test_a_window_that_a_ca_has_moved_into_the_past_says_at_once():
    past = Window(start_s=NOW_S - 2 * DAY_S, end_s=NOW_S - DAY_S)
    found = renewed_s(validity(45), window=past)
    assert found is not None
    assert found < NOW_S


def test_a_window_that_ends_before_it_begins_is_its_beginning():
    assert renewed_s(validity(45), window=Window(start_s=NOW_S, end_s=NOW_S - 1)) == NOW_S


def window(start_s: float) -> Window:
    return Window(start_s=start_s, end_s=start_s + 3600)


@pytest.mark.parametrize(
    ("known", "suggested", "counts"),
    [
        (None, window(NOW_S - 7200), window(NOW_S - 7200)),
        (window(NOW_S + 7200), window(NOW_S - 7200), window(NOW_S - 7200)),
        (window(NOW_S - 9000), window(NOW_S + 7200), window(NOW_S + 7200)),
        (window(NOW_S - 9000), window(NOW_S - 3600), window(NOW_S - 9000)),
    ],
    ids=["the first", "moved into the past", "moved into the future", "moved along while it is time"],
)
def test_the_window_that_was_suggested_last_counts_unless_it_only_moves_along(known, suggested, counts):
    assert counting(known, suggested, validity(45), now_s=NOW_S) == counts


def test_a_validity_that_cannot_be_read_tells_no_moment():
    unread = Validity(not_before_s=None, not_after_s=5, fingerprint=fingerprint_of(b""))
    assert renewed_s(unread, window=None) is None
    assert renewed_s(unread, window=Window(start_s=1.0, end_s=1.0)) == 1.0


@pytest.mark.parametrize(
    ("said_s", "least_s", "most_s"),
    [
        (None, ASKED_AGAIN_S, ASKED_AGAIN_S * 1.08),
        (0.0, ASKED_LEAST_S, ASKED_LEAST_S * 1.08),
        (3600.0, 3600.0, 3600.0 * 1.08),
        (7 * DAY_S, 11 * 3600.0, DAY_S / 2),
        (float("inf"), 11 * 3600.0, DAY_S / 2),
    ],
)
def test_a_ca_is_asked_at_least_twice_a_day_and_never_in_a_tight_circle(said_s, least_s, most_s):
    waits = [
        poll_at_s(validity(45, str(number)), now_s=NOW_S, retry_after_s=said_s) - NOW_S
        for number in range(50)
    ]
    assert all(least_s <= each <= most_s for each in waits)
    assert len(set(waits)) == 50


def test_failures_rest_longer_each_time_and_never_less_than_the_ca_says():
    found = [retry_at_s(times, now_s=0.0, not_before_s=None, ends_s=None) for times in range(1, 7)]
    assert found == [300.0, 3600.0, 21600.0, 86400.0, 86400.0, 86400.0]
    assert retry_at_s(1, now_s=0.0, not_before_s=7 * DAY_S, ends_s=DAY_S) == 7 * DAY_S
    assert retry_at_s(4, now_s=0.0, not_before_s=60.0, ends_s=15 * DAY_S) == LADDER_S[-1]


@pytest.mark.parametrize(
    ("left_s", "rest_s"), [(8 * DAY_S, DAY_S), (2 * DAY_S, DAY_S / 4), (3600.0, 3600.0), (-DAY_S, 3600.0)]
)
def test_what_ends_soon_rests_for_an_eighth_of_what_is_left_and_an_hour_at_least(left_s, rest_s):
    assert retry_at_s(9, now_s=100.0, not_before_s=None, ends_s=100.0 + left_s) == 100.0 + rest_s
    assert retry_at_s(1, now_s=100.0, not_before_s=None, ends_s=100.0 + left_s) == 400.0


@pytest.mark.parametrize(("count", "waits_s"), [*enumerate(WINDOW_LADDER_S), (9, WINDOW_LADDER_S[-1])])
def test_the_more_certificates_a_window_has_brought_in_a_week_the_longer_the_next_one_does_not_count(
    count: int, waits_s: float
):
    moments = [NOW_S - 8 * DAY_S, *(NOW_S - number * 3600.0 for number in range(count))]
    assert window_from_s(moments, now_s=NOW_S) == NOW_S + waits_s


@pytest.mark.parametrize(("at_days", "found"), [(1, True), (25, True), (28.5, False), (31, False)])
def test_what_is_replaced_about_the_time_at_which_it_is_due_without_a_window_is_not_early(
    at_days: float, found: bool
):
    assert is_early(validity(45), NOW_S + at_days * DAY_S) is found
    assert is_early(replace(validity(45), not_before_s=None), NOW_S)


def test_a_window_that_has_passed_counts_from_its_moment_on_and_what_is_about_to_end_does_not_wait_for_that():
    past = Window(start_s=NOW_S - 7200, end_s=NOW_S - 3600)
    given = validity(45)
    assert renewed_s(given, window=past, window_from_s=NOW_S + 3600.0) == NOW_S + 3600.0
    assert renewed_s(given, window=None, window_from_s=NOW_S + 3600.0) == renewed_s(given, window=None)
    never = NOW_S + 99 * DAY_S
    assert renewed_s(given, window=past, window_from_s=never) == renewed_s(given, window=None)
    late = Window(start_s=NOW_S + 38 * DAY_S, end_s=NOW_S + 38 * DAY_S)
    assert renewed_s(given, window=late, window_from_s=never) == NOW_S + 38 * DAY_S


@pytest.mark.parametrize(
    ("days", "at_s", "said"),
    [
        (45, NOW_S, ""),
        (1, NOW_S, ""),
        (6, NOW_S + 4 * DAY_S, "would have to be renewed again at once; check whether this manager's clock"),
        (45, NOW_S + 32 * DAY_S, "would have to be renewed again at once"),
        (45, NOW_S + 45 * DAY_S - LIFE_LEAST_S + 1, "in less than 2 hours"),
    ],
)
def test_what_would_have_to_be_renewed_as_soon_as_it_is_there_is_too_short(days: int, at_s: float, said: str):
    found = why_too_short(validity(days), now_s=at_s)
    assert said in found
    assert bool(found) == bool(said)
