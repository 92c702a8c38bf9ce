import pytest

from common.api.errors import FailureFinding
from manager.cli import words
from manager.cli.failures import ApiRefusedError, finding_line
from manager.cli.files import JoinedFiles


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (86400 * 10 + 3600 * 4, "10 d"),
    ],
)
def test_a_span_is_said_in_its_largest_units(seconds, said):
    assert words.span(seconds) == said


def test_past_and_future_are_told_apart():
    assert words.until(160, 100) == "in 1 min"
    assert words.until(100, 160) == "expired 1 min ago"
    assert words.ago(None, 100) == "never"


def test_a_moment_is_utc_and_an_impossible_one_is_no_crash():
    assert words.moment(0) == "1970-01-01 00:00:00Z"
    assert words.moment(1e18).endswith(" s")
    assert words.moment(None) == "-"


def test_a_finding_names_the_places_that_are_known():
    assert finding_line(FailureFinding(message="bad")) == "bad"
    assert (
        finding_line(FailureFinding(message="bad", file="a.pem", block=2, line=9))
        == "a.pem, block 2, line 9: bad"
    )
    assert finding_line(FailureFinding(message="bad", line=9)) == "line 9: bad"


@pytest.mark.parametrize(
    ("names", "file", "shown"),
    [
        (["a.zip"], None, "a.zip"),
        (["a.zip"], "certificate", "a.zip"),
        (["a.zip"], "inner.crt", "a.zip/inner.crt"),
        (["a.zip"], "certificate/inner.crt", "a.zip/inner.crt"),
        (["a.zip", "b.pem"], "inner.crt", "inner.crt"),
    ],
)
def test_a_finding_in_an_archive_names_the_file_in_it(names, file, shown):
    (found,) = JoinedFiles(names, ["x\n" for _ in names]).locate(
        [FailureFinding(message="bad", file=file, line=1)]
    )
    assert (found.file, found.line) == (shown, 1)


def test_a_refused_upload_names_the_file_in_an_archive():
    findings = [
        FailureFinding(message="bad", file=each)
        for each in ("certificate/inner.crt", "private key", "other", None)
    ]
    error = ApiRefusedError("no", status=400, findings=findings).with_files(
        {"certificate": "a.zip", "private key": "a.key"}
    )
    assert [each.file for each in error.findings] == ["a.zip/inner.crt", "a.key", "other", None]
