from common.ids import digest_of
from common.wire.ladder import step_s
from nodeagent.core.quarantine import Failed, attempts_with, remaining_s, to_failure

A, B = digest_of(b"a"), digest_of(b"b")


def failed(attempts: int = 1, *, at_s: float = 1000.0) -> Failed:
    return Failed(
        epoch=1,
        generation=2,
        digest=A,
        result="rolled_back",
        phase="verify",
        reason="verify_mismatch",
        message="the old leaf is served",
        at_s=at_s,
        attempts=attempts,
        until_s=at_s + step_s(attempts),
    )


def test_the_ladder_climbs_to_an_hour_and_stays_there():
    assert [step_s(number) for number in (1, 2, 3, 4, 5, 50)] == [60, 300, 900, 3600, 3600, 3600]


def test_the_same_content_counts_on_and_other_content_starts_anew():
    assert attempts_with(None, A) == 1
    assert attempts_with(failed(2), A) == 3
    assert attempts_with(failed(2), B) == 1


def test_quarantine_runs_out():
    assert remaining_s(failed(), 1059) == 1
    assert remaining_s(failed(), 1060) == 0


def test_a_clock_set_back_does_not_prolong_quarantine():
    assert remaining_s(failed(), 1000 - 1800) == 60
    # otherwise the clock would have to come all the way again
    assert remaining_s(failed(), -1_000_000) == 0


def test_a_report_says_how_much_longer():
    assert to_failure(failed(2), 1100).retry_after_s == 200
