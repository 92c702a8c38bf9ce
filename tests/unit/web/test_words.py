from typing import get_args

import pytest

from common.api.codes import ChainState, State, StatusCode
from manager.web import words
from tests.pki import NOW_S


def test_every_state_status_and_chain_has_its_words_and_its_shape():
    assert set(words.STATES) == set(get_args(State))
    assert set(words.STATUS_KINDS) == set(StatusCode)
    assert set(words.CHAIN_WORDS) == set(ChainState)
    assert len({name for _, name, _ in words.STATES.values()}) == len(words.STATES)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.01, "under 0.1 seconds"),
        (0.44, "0.4 seconds"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7300, "2 hours"),
        (86_400, "1 day"),
        (36 * 3600, "1 day"),
        (30 * 86_400, "30 days"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, said: str):
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.044, "0.04 s"), (9.994, "9.99 s"), (12.4, "12 s"), (61, "1 minute")]
)
def test_a_figure_is_told_in_short(seconds: float, said: str):
    assert words.brief(seconds) == said


@pytest.mark.parametrize(
    ("away", "said"), [(0, "now"), (3 * 86_400, "in 3 days"), (-7200, "2 hours ago"), (-0.5, "now")]
)
def test_a_moment_is_told_from_now(away: float, said: str):
    assert words.from_now(NOW_S + away, NOW_S) == said


def test_moments_are_utc_for_people_and_for_scripts():
    assert words.moment(NOW_S) == '<time datetime="2027-01-15T08:00:00Z">2027-01-15 08:00 UTC</time>'
    assert words.day(NOW_S) == '<time class="day" datetime="2027-01-15T08:00:00Z">2027-01-15</time>'


@pytest.mark.parametrize("seconds", [2.0**62, -(2.0**62), float("inf")])
def test_a_moment_beyond_the_calendar_breaks_no_page(seconds: float):
    assert "beyond the calendar" in words.moment(seconds)
    assert "beyond the calendar" in words.day(seconds)


def test_words_from_elsewhere_are_escaped():
    assert words.moment(None, "<b>") == '<span class="quiet">&lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("text", "said"), [("", ""), ("it broke", "It broke."), ("why?", "Why?"), ("Done.", "Done.")]
)
def test_an_errors_words_become_a_sentence(text: str, said: str):
    assert words.sentence(text) == said


def test_counts_agree_with_their_nouns():
    assert [words.plural(count, "node") for count in (0, 1, 1000)] == ["0 nodes", "1 node", "1,000 nodes"]
    assert words.plural(2, "is", "are") == "2 are"
