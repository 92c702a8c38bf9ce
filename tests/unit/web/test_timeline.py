import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.pki.expiry import Nearness, nearness
from manager.web.timeline import FOOT, LEAST, TOP, WEEK_S, WEEKS, Expiry, draw_timeline
from tests.pki import DAY_S, NOW_S


def end(day: float) -> Expiry:
    return Expiry(NOW_S + day * DAY_S, nearness(round(NOW_S + day * DAY_S), now_s=NOW_S))


def draw(*days: float, cas: tuple[float, ...] = (), width: int = 960, height: int = 150):
    return draw_timeline(
        [end(day) for day in days],
        [end(day) for day in cas],
        now_s=NOW_S,
        width=width,
        height=height,
    )


@given(st.lists(st.floats(-4000, 40000), max_size=50), st.lists(st.floats(-4000, 40000), max_size=50))
def test_everything_is_counted_once(days: list[float], cas: list[float]):
    drawn = draw(*days, cas=tuple(cas))
    expired = drawn.expired_certificates + drawn.expired_trusted_cas
    assert expired + drawn.later + sum(bar.count for bar in drawn.bars) == len(days) + len(cas)


@given(st.lists(st.floats(0, 363.9), min_size=1, max_size=200))
def test_every_bar_stands_on_the_axis_within_the_drawing(days: list[float]):
    for bar in draw(*days).bars:
        assert LEAST <= bar.height <= 150 - TOP - FOOT
        assert abs(bar.y + bar.height - 130) < 0.2
        assert 0 <= bar.x <= bar.x + bar.width <= 960


def test_the_fullest_week_fills_the_room_and_one_beside_a_thousand_is_still_seen():
    drawn = draw(*[10.0] * 1000, 200)
    assert [bar.height for bar in drawn.bars] == [150 - TOP - FOOT, LEAST]
    assert drawn.highest == 1000


@pytest.mark.parametrize(
    ("day", "urgency"),
    [(0, "alarm"), (30, "alarm"), (31, "soon"), (60, "soon"), (61, "calm")],
)
def test_a_week_is_as_urgent_as_the_most_urgent_in_it(day: float, urgency: str):
    (bar,) = draw(day).bars
    assert bar.urgency == urgency


def test_a_short_life_that_has_just_begun_is_calm_unless_something_urgent_is_beside_it():
    fresh = Expiry(NOW_S + 3 * DAY_S, Nearness.CALM)
    drawn = draw_timeline([fresh], [], now_s=NOW_S, width=960, height=150)
    assert [bar.urgency for bar in drawn.bars] == ["calm"]
    both = draw_timeline([fresh, end(4)], [], now_s=NOW_S, width=960, height=150)
    assert [bar.urgency for bar in both.bars] == ["alarm"]


def test_what_expires_this_very_second_has_not_expired_and_what_did_before_has():
    drawn = draw_timeline([end(0), end(-1 / DAY_S)], [], now_s=NOW_S, width=960, height=150)
    assert (drawn.expired_certificates, [bar.count for bar in drawn.bars]) == (1, [1])


def test_certificates_and_trusted_cas_that_have_expired_are_told_apart():
    drawn = draw(-1, -2, cas=(-1,))
    assert (drawn.expired_certificates, drawn.expired_trusted_cas) == (2, 1)


def test_certificates_and_trusted_cas_of_a_week_stand_together():
    (bar,) = draw(3, 4, cas=(5,)).bars
    assert (bar.certificates, bar.trusted_cas) == (2, 1)


def test_months_stand_at_their_beginnings_and_fewer_where_there_is_little_room():
    # 2027-01-15 08:00 UTC: February begins in 16 days and 16 hours
    wide = draw().months
    assert (wide[0].label, wide[0].x) == ("Feb", round((16 + 16 / 24) / 7 * 960 / WEEKS, 1))
    assert [mark.label for mark in wide][:3] == ["Feb", "Mar", "Apr"]
    assert [mark.label for mark in draw(width=340).months] == ["Feb", "May", "Aug", "Nov"]
    assert all(mark.x < 960 - 30 for mark in wide)


def test_a_year_that_begins_late_in_a_month_has_its_last_week_too():
    drawn = draw_timeline([end((WEEKS * WEEK_S - 1) / DAY_S)], [], now_s=NOW_S, width=960, height=150)
    assert (drawn.later, len(drawn.bars)) == (0, 1)
