"""Whatever a CA sends: it is read, or refused in words that are bounded and printable."""

import json
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from manager.acme.answers import (
    Answer,
    links,
    read_authorization,
    read_directory,
    read_names,
    read_order,
    read_suggested,
)
from manager.acme.keys import AccountKey, prove
from manager.acme.refusals import RETRY_AFTER_MAX_S, WORDS_MAX_CHARS, refusal, retry_after_s
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import CaError
from tests import pki

NOW_S = 1_800_000_000.0
KEY = AccountKey.load(pki.make_leaf(None).key_pem)
ACCOUNT = "https://ca.example/accounts/1"

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=50),
    st.sampled_from(
        [
            *(
                "https://ca.example/1",
                "http://ca.example/1",
                "pending",
                "valid",
                "http-01",
                "dns-persist-01",
                "t" * 43,
            ),
            *(
                "2026-01-02T04:00:00Z",
                "9999-12-31T23:59:59-14:00",
                "0001-01-01T00:00:00+14:00",
                "ca.example",
                "x" * 3000,
            ),
        ]
    ),
)
NAMES = st.sampled_from(
    [
        *(
            "newNonce",
            "newAccount",
            "newOrder",
            "renewalInfo",
            "meta",
            "profiles",
            "status",
            "authorizations",
            "finalize",
        ),
        *(
            "identifiers",
            "identifier",
            "value",
            "challenges",
            "type",
            "url",
            "token",
            "issuer-domain-names",
            "error",
        ),
        *("detail", "title", "subproblems", "suggestedWindow", "start", "end", "explanationURL", "wildcard"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=8)),
    max_leaves=15,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(NAMES, VALUES, max_size=8).map(lambda value: json.dumps(value).encode()),
)


def is_shown(text: str) -> bool:
    return text.isprintable() and len(text) <= WORDS_MAX_CHARS + 400


def refusal_of(read: Callable[[], object]) -> str:
    """Return in which words something was refused, "" if it was read."""
    try:
        read()
    except CaError as error:
        return error.message
    return ""


@given(BODIES)
def test_an_answer_is_read_or_refused_in_words(body):
    for read in (
        read_directory,
        read_names,
        read_authorization,
        lambda answer: read_order(answer, url="https://ca.example/1", retry_after_s=None),
        lambda answer: read_suggested(answer, retry_after_s=None),
    ):
        assert is_shown(refusal_of(lambda read=read: read(Answer.read("ca.example", body))))


@given(BODIES, st.integers(100, 599), st.one_of(st.none(), st.text(max_size=40)))
@example(b"[" * 100_000, 500, None)
def test_a_refusal_is_bounded_and_printable(body, status, retry_after):
    found = refusal("ca.example", status=status, retry_after=retry_after, body=body, now_s=NOW_S)
    assert is_shown(found.message)
    assert is_shown(found.detail)
    assert is_shown(found.type)


DATES = st.builds(
    lambda day, month, year, clock, zone: f"Fri, {day} {month} {year} {clock} {zone}",
    st.integers(-1, 40),
    st.sampled_from(["Jan", "Feb", "Xyz", ""]),
    st.integers(-5, 100_000),
    st.sampled_from(["00:00:00", "25:61:61", "1", "::", "23:59:60"]),
    st.sampled_from(["GMT", "-0000", "+9999", "-99999999", "", "EST"]),
)


@given(st.one_of(st.text(max_size=60), DATES, st.integers().map(str)))
@example("")
@example(" ")
@example("0\x1f")
@example("Fri, 1 Jan 1 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_a_time_to_wait_is_read_and_bounded_or_none(text):
    wait_s = retry_after_s(text, now_s=NOW_S)
    assert wait_s is None or 0 <= wait_s <= RETRY_AFTER_MAX_S


PIECES = st.sampled_from(
    [
        "<https://ca.example/1>",
        "<",
        ">",
        ";",
        ",",
        " ",
        "rel",
        "=",
        '"',
        "next",
        '"next"',
        "<http://a>",
        "\t",
        "\\",
        "a",
        ";rel=next",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join)))
def test_links_lead_to_https_or_nowhere(header):
    def follow() -> None:
        assert all(url.startswith("https://") for url in links("ca.example", header, "next"))

    assert is_shown(refusal_of(follow))


@given(BODIES, st.sampled_from(ChallengeKind))
def test_a_proof_has_a_token_that_is_a_files_name_and_a_response_of_one_line(body, kind):
    try:
        asked = read_authorization(Answer.read("ca.example", body))
    except CaError:
        return
    proof = prove(asked, kind, url="https://ca.example/1", key=KEY, account_url=ACCOUNT)
    if proof is not None:
        assert "/" not in proof.token
        assert "." not in proof.token
        assert proof.response.isprintable()
        assert proof.response not in repr(proof)
