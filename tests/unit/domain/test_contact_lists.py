"""Addresses of several managers as one list."""

from manager.domain.contact import merge_addresses


def test_the_lists_take_turns_and_nothing_is_named_twice():
    assert merge_addresses([["a1", "lb", "a2"], ["b1", "lb"], []], most=9) == ("a1", "b1", "lb", "a2")


def test_one_list_stays_as_it_is():
    assert merge_addresses([["c", "a", "b"]], most=2) == ("c", "a")


def test_no_list_makes_an_empty_one():
    assert merge_addresses([], most=2) == ()
