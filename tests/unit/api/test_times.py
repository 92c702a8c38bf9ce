"""Times have names of one kind in the public contract: `..._at_s` is a moment, and any other `..._s` a duration."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from common.api.values import Calendar, Duration, Moment
from tests.unit.api.test_contract import CONTRACT

TERMS = {"not_before_s", "not_after_s", "since_s"}
"""Moments whose names say so: two are X.509's terms (RFC 5280 4.1.2.5)."""

SIGNED = {"clock_skew_s"}
"""Durations that may be negative."""


def parts_of(hint: Any) -> Iterator[Any]:
    """Return a type, and what it is a union of."""
    yield hint
    yield from get_args(hint)


def times_of(kind: type[msgspec.Struct]) -> dict[str, tuple[bool, bool]]:
    """Return of each time in an answer whether its type is a moment's, and whether it is a duration's."""
    hints = get_type_hints(kind, include_extras=True)
    told = {each.encode_name: list(parts_of(hints[each.name])) for each in msgspec.structs.fields(kind)}
    found = {name: (Moment in parts or Calendar in parts, Duration in parts) for name, parts in told.items()}
    return {name: types for name, types in found.items() if name.endswith("_s") or any(types)}


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_moment_is_named_by_at_and_a_duration_is_not(kind):
    for name, (is_moment, is_duration) in times_of(kind).items():
        assert name.endswith("_s"), name
        assert is_moment == (name in TERMS or name == "at_s" or name.endswith("_at_s")), name
        assert is_duration == (not is_moment and name not in SIGNED), name


def test_there_are_times_of_each_kind_to_be_named():
    found = {name for kind in CONTRACT for name in times_of(kind)}
    assert found >= {"at_s", "retry_at_s", "expires_at_s", "retry_after_s"} | TERMS | SIGNED
