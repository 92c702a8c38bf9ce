"""Addresses of several managers as one list."""

from manager.domain.contact import merged


def test_the_lists_take_turns_and_nothing_is_named_twice():
    assert merged([["a1", "lb", "a2"], ["b1", "lb"], []], most=9) == ("a1", "b1", "lb", "a2")


def test_one_list_stays_as_it_is():
    assert merged([["c", "a", "b"]], most=2) == ("c", "a")


def test_no_list_makes_an_empty_one():
    assert merged([], most=2) == ()
