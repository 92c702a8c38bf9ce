"""What managers tell each other of what they count, and whose word counts."""

import base64

import pytest

from manager.domain.tallies import (
    ENTRIES_MAX,
    TIMES_MAX,
    Believed,
    Gathered,
    Tally,
    TallyMessage,
    decode,
    digest_of,
    encode,
)

KEY, OTHER = b"k" * 32, b"o" * 32
DIGEST = digest_of(KEY, Tally.FAILED, ("ada", "192.0.2.9"))


def told(*, at_s: float = 1.0, member: int = 3, times: int = 2) -> TallyMessage:
    return TallyMessage(member=member, at_s=at_s, entries={(Tally.FAILED, DIGEST): times})


def test_a_message_is_read_as_it_was_meant():
    assert decode(KEY, encode(KEY, told())) == told()


def test_the_largest_message_fits_into_a_notification():
    entries = {(Tally.FAILED, number.to_bytes(16)): TIMES_MAX for number in range(ENTRIES_MAX)}
    text = encode(KEY, TallyMessage(member=2**63, at_s=2e9, entries=entries))
    assert len(text) < 8000
    assert decode(KEY, text).entries == entries


def test_no_message_that_another_key_has_made_or_that_was_altered_is_believed():
    text = encode(KEY, told())
    assert decode(OTHER, text) is None
    whole = base64.b64decode(text)
    for at in range(len(whole)):
        altered = bytearray(whole)
        altered[at] ^= 1
        assert decode(KEY, base64.b64encode(altered).decode()) is None
        assert decode(KEY, base64.b64encode(whole[:at]).decode()) is None


@pytest.mark.parametrize("text", ["", "%", "ü", "A" * 100_000, "x" * 7999])
def test_what_is_no_message_is_none(text: str):
    assert decode(KEY, text) is None


def test_what_is_counted_has_different_names_for_different_purposes_and_splits():
    assert digest_of(KEY, Tally.FAILED, ("a", "bc")) != digest_of(KEY, Tally.FAILED, ("ab", "c"))
    assert digest_of(KEY, Tally.FAILED, ("a", "b")) != digest_of(KEY, Tally.COMPARED, ("a", "b"))
    assert digest_of(KEY, Tally.FAILED, ("a", "b")) != digest_of(OTHER, Tally.FAILED, ("a", "b"))


def test_a_message_counts_once_and_after_the_listening_began_only():
    believed = Believed()
    assert not believed.is_new(told(at_s=1e12))
    believed.begin(100.0)
    assert not believed.is_new(told(at_s=97.0))
    assert believed.is_new(told(at_s=100.0))
    assert not believed.is_new(told(at_s=100.0))
    assert not believed.is_new(told(at_s=99.0))
    assert believed.is_new(told(at_s=100.5))
    assert believed.is_new(told(at_s=100.0, member=4))
    assert not believed.is_new(told(at_s=float("nan"), member=5))


def test_senders_are_remembered_bounded():
    believed = Believed()
    believed.begin(0.0)
    for member in range(3 * Believed.SENDERS_MAX):
        assert believed.is_new(told(member=member))
    assert len(believed._last_s) == Believed.SENDERS_MAX


def test_what_is_gathered_is_bounded_and_taken_in_the_order_in_which_it_came():
    gathered = Gathered()
    for number in range(2 * Gathered.MOST):
        gathered.add((Tally.FAILED, number.to_bytes(16)))
        gathered.add((Tally.FAILED, bytes(16)), 200)
    assert len(gathered) == Gathered.MOST
    first = gathered.take()
    assert len(first) == ENTRIES_MAX
    assert first[(Tally.FAILED, bytes(16))] == TIMES_MAX
    assert (Tally.FAILED, (ENTRIES_MAX).to_bytes(16)) in gathered.take()
