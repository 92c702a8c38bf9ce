"""Records that prove names for good: read as a CA reads them (draft-ietf-acme-dns-persist 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.dns.persistent import MalformedError, mismatch, parse_grant, record_text, required_grant
from manager.usecases.renewal.ports import CaError

ISSUER = "authority.example"
ACCOUNT = "https://ca.example/acct/123"
RIGHT = f"{ISSUER}; accounturi={ACCOUNT}"


def wrong(*records: str, name: str = "example.com", now_s: float = 1000) -> str:
    return mismatch(records, required_grant(RIGHT, name), now_s=now_s)


@pytest.mark.parametrize(
    "record",
    [
        RIGHT,
        f"{RIGHT}; policy=wildcard",
        f"{RIGHT}; policy=other",
        f"{RIGHT};persistUntil=1001",
        f"  {ISSUER.upper()}  ;\tAccountURI = {ACCOUNT}  ; unknown=x ; unknown=y",
    ],
)
def test_a_record_of_the_account_proves_its_name(record):
    assert wrong(record) == ""


def test_one_right_record_among_others_is_enough():
    assert (
        wrong(
            "v=spf1 -all", "other.example; accounturi=x", f"{RIGHT};", f"{ISSUER};accounturi=https://x", RIGHT
        )
        == ""
    )


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("", f"no record is for {ISSUER}"),
        ("other.example; accounturi=x", f"no record is for {ISSUER}"),
        (
            f"{ISSUER}; accounturi=https://ca.example/acct/1234",
            "is for the account https://ca.example/acct/1234",
        ),
        (f"{ISSUER}; accounturi={ACCOUNT.upper()}", "is for the account"),
        (f"{RIGHT};persistUntil=999", "has ended (persistUntil=999)"),
        (f"{RIGHT};persistUntil=-1", "has ended"),
        (f"{RIGHT};persistUntil=soon", "that is not a moment in seconds"),
        (f"{RIGHT};persistUntil=", "that is not a moment in seconds"),
        (f"{RIGHT};", "not of the form tag=value"),
        (f"{RIGHT};policy", "not of the form tag=value"),
        (f"{RIGHT};=x", "not of the form tag=value"),
        (f"{RIGHT};accounturi=x", "has accounturi twice"),
        (f"{RIGHT};policy=a b", "has white space or foreign letters in the value of policy"),
        (ISSUER, "does not name a CA and an account"),
        (f"{ISSUER};accounturi=", "does not name a CA and an account"),
    ],
)
def test_any_other_record_is_told_with_what_is_wrong(record, why):
    assert why in wrong(record)


def test_a_wildcard_needs_a_record_that_allows_wildcards():
    assert "does not allow wildcards" in wrong(RIGHT, name="*.example.com")
    assert wrong(f"{RIGHT}; Policy=WildCard", name="*.example.com") == ""


def test_what_people_are_to_write_is_what_is_wanted():
    for name in ("example.com", "*.example.com"):
        wanted = required_grant(RIGHT, name)
        assert mismatch([record_text(wanted)], wanted, now_s=0) == ""
    assert (
        record_text(required_grant(f"{RIGHT}; policy=wildcard", "example.com")) == f"{RIGHT}; policy=wildcard"
    )


def test_a_ca_that_wants_what_is_no_record_is_told():
    with pytest.raises(
        CaError, match=r"what the CA wants to see for 'example[.]com' does not name a CA and an account"
    ):
        required_grant("nonsense", "example.com")


@given(
    st.text(alphabet=st.characters(codec="latin-1"), max_size=60)
    | st.text("ax;= \tpolicyunt19-", max_size=60)
)
def test_every_text_is_a_record_or_is_refused(text):
    try:
        grant = parse_grant(text)
    except MalformedError:
        return
    assert grant.issuer
    assert grant.account_url
    assert parse_grant(record_text(grant)).account_url == grant.account_url
