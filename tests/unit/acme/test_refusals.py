"""What of a CA's refusal is passed on, whether asking again helps, and when."""

import json
from email.utils import formatdate

import pytest

from manager.acme.refusals import (
    ACME,
    RETRY_AFTER_MAX_S,
    SUBPROBLEMS_MAX,
    TYPE_MAX_CHARS,
    WORDS_MAX_CHARS,
    ProblemDocument,
    read_problem,
    refusal,
    retry_after_s,
    words,
)

NOW_S = 1_800_000_000.0
AUTHORIZATION = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


def refused(kind: str, detail: str, *, status: int = 400, retry_after: str | None = None):
    body = json.dumps({"type": ACME + kind, "detail": detail}).encode()
    return refusal("ca.example", status=status, retry_after=retry_after, body=body, now_s=NOW_S)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        (None, None),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("9" * 100, RETRY_AFTER_MAX_S),
        ("9" * 101, None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("", None),
        ("soon", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX_S),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_a_time_to_wait_is_read_as_seconds_or_as_a_date_and_bounded(text, wait_s):
    assert retry_after_s(text, now_s=NOW_S) == wait_s


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_is_counted_from_now(zone):
    text = formatdate(NOW_S + 90, usegmt=True).replace("GMT", zone)
    assert retry_after_s(text, now_s=NOW_S) == 90.0


@pytest.mark.parametrize("where", ["", "https://ca.example/terms/2"])
def test_a_ca_that_wants_somebody_to_act_is_told_with_what_to_do(where):
    told = {"type": ACME + "userActionRequired", "detail": "the terms have changed", "instance": where}
    found = refusal("ca.example", status=403, retry_after=None, body=json.dumps(told).encode(), now_s=NOW_S)
    assert found.is_final
    assert found.message == (
        "ca.example requires an action from you (userActionRequired): the terms have changed; register the account, with your agreement to its terms of service"
        + (f", or do what {where} says" if where else "")
    )


def test_a_refusal_has_the_cas_code_words_and_time():
    found = refused("rateLimited", "too many", status=429, retry_after="60")
    assert (found.type, found.detail, found.retry_after_s, found.status) == (
        "rateLimited",
        "too many",
        60.0,
        429,
    )
    assert found.message == "ca.example limits how often it is asked: too many"
    assert refused("malformed", "bad").message == "ca.example refused (malformed): bad"
    assert refused("malformed", "").message == "ca.example refused (malformed)"


@pytest.mark.parametrize(
    "kind", ["badNonce", "rateLimited", "orderNotReady", "serverInternal", "dns", "connection", "caa"]
)
def test_what_passes_is_not_final(kind):
    assert not refused(kind, "x", status=403).is_final


@pytest.mark.parametrize(
    "kind", ["malformed", "unauthorized", "rejectedIdentifier", "invalidProfile", "accountDoesNotExist"]
)
def test_what_was_asked_wrongly_is_final(kind):
    assert refused(kind, "x", status=403).is_final
    assert not refused(kind, "x", status=503).is_final
    assert not refused(kind, "x", status=429).is_final


@pytest.mark.parametrize(
    ("status", "is_final"), [(403, False), (404, True), (410, True), (500, False), (302, False)]
)
def test_a_status_alone_is_final_where_something_is_gone(status, is_final):
    found = refusal("ca.example", status=status, retry_after=None, body=b"<html>", now_s=NOW_S)
    assert (found.is_final, found.type) == (is_final, "")
    assert found.message == f"ca.example answered with status {status}"


def test_what_is_said_of_single_names_is_told_of_the_first():
    several = [
        {
            "type": ACME + "caa",
            "detail": f"no {number}",
            "identifier": {"type": "dns", "value": f"{number}.example"},
        }
        for number in range(9)
    ]
    told = read_problem(
        {"type": ACME + "compound", "detail": "some", "subproblems": [*several[:1], 5, *several[1:]]}
    )
    assert told.type == "compound"
    assert told.detail == "some; 0.example: no 0; 1.example: no 1; 2.example: no 2; 3.example: no 3"
    assert SUBPROBLEMS_MAX == 5


@pytest.mark.parametrize("value", [None, 5, [], "x", {}, {"type": 5, "detail": []}, {"type": "about:blank"}])
def test_what_is_no_problem_document_says_nothing(value):
    assert read_problem(value) == ProblemDocument("", "")


def test_a_code_of_another_standard_keeps_its_whole_name():
    assert read_problem({"type": "urn:example:odd", "title": "Odd"}) == ProblemDocument(
        "urn:example:odd", "Odd"
    )


def test_words_are_printable_and_bounded():
    assert words("a\x1b[31mb\n c\u202e") == "a\N{REPLACEMENT CHARACTER}[31mb c\N{REPLACEMENT CHARACTER}"
    assert words("x" * WORDS_MAX_CHARS) == "x" * WORDS_MAX_CHARS
    assert words("x" * (WORDS_MAX_CHARS + 1)) == "x" * (WORDS_MAX_CHARS - 3) + "..."
    assert len(read_problem({"type": "x" * 9999, "detail": "y"}).type) == TYPE_MAX_CHARS
    assert words(5) == ""


@pytest.mark.parametrize("before", ["", 'wanted "', "y " * (WORDS_MAX_CHARS // 2 - 20)])
def test_a_key_authorization_is_left_out_of_words_also_where_they_are_cut(before):
    found = words(f'{before}{AUTHORIZATION}" and got nothing')
    assert AUTHORIZATION[:30] not in found
    assert "<secret>" in found


def test_a_profile_that_a_ca_does_not_have_is_told_with_what_to_do():
    assert refused("invalidProfile", "no such profile.").message == (
        "ca.example refused (invalidProfile): no such profile; choose another profile, or none"
    )
