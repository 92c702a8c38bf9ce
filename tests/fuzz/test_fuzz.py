"""The short form, for each run of the tests: what once went wrong, and a few hundred changes of what is right.

The long one is `make fuzz`, by hand.
"""

import resource
import time
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

CPU_MAX_S: Final = 5.0
"""For one input of at most 16 KiB; the slowest, a sealed key, takes a tenth of a second."""

GROWTH_MAX_KIB: Final = 256 * 1024
"""How much more memory the process may ever have held after a target than before it."""

NESTED: Final = (
    b"[" * 20_000,
    b'{"a":' * 5_000,
    b"\x91" * 20_000,
    b"a = " + b"[" * 10_000,
    b"\x30\x80" * 8_000,
)
"""What brings down a reader that calls itself for each level."""

SHORT = settings(
    settings.get_profile("repeatable"),
    max_examples=60,
    suppress_health_check=list(HealthCheck),
)


def changes(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """A seed in which some bytes are replaced, doubled, cut out or put in."""
    return st.builds(changed, st.sampled_from(seeds), st.lists(EDITS, min_size=1, max_size=4))


EDITS = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 64),
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b"\x00", b"\xff" * 4, b"\x80\x00", b"-----BEGIN ", b"[[", b"=", b"%", b"\r\n--b", b"\xc0\x80"]
        ),
        st.just(None),
    ),
)


def changed(seed: bytes, edits: list[tuple[float, int, bytes | None]]) -> bytes:
    data = bytearray(seed)
    for place, length, put in edits:
        start = int(place * (len(data) + 1))
        # None stands for what is there once more
        data[start : start + length] = data[start : start + length] * 2 if put is None else put
    return bytes(data)


def is_taken(target: Target, data: bytes) -> bool:
    try:
        target.run(data)
    except target.refusals:
        return False
    return True


def try_in_time(target: Target, data: bytes) -> None:
    started_s = time.thread_time()
    target.try_one(data)
    assert time.thread_time() - started_s < CPU_MAX_S


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_answers_any_change_of_what_is_right_as_it_documents(name, record_property):
    target = TARGETS[name]
    seeds = list(target.seeds())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert any(is_taken(target, seed) for seed in seeds)

    @SHORT
    @given(changes(seeds))
    def check(data: bytes) -> None:
        try_in_time(target, data)

    check()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    record_property("grown_mib", grown // 1024)
    assert grown < GROWTH_MAX_KIB


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_went_wrong_and_what_is_deeply_nested_is_answered_as_documented(name):
    target = TARGETS[name]
    for data in (*target.kept, *NESTED, *(b"\x00" + one for one in NESTED), b""):
        try_in_time(target, data)
