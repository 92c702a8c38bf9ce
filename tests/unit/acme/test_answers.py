"""Answers of a CA, read into what renewal knows."""

import json
from datetime import UTC, datetime

import pytest

from manager.acme.answers import (
    CHALLENGES_MAX,
    LINKS_MAX,
    NAMES_MAX,
    PROFILES_MAX,
    URL_MAX_CHARS,
    Answer,
    checked_url,
    links,
    read_authorization,
    read_directory,
    read_names,
    read_order,
    read_suggested,
)
from manager.usecases.renewal.ports import CaError

CA = "ca.example"
URL = "https://ca.example/1"
POINTS = {"newNonce": URL, "newAccount": URL, "newOrder": URL}


def answer(**fields) -> Answer:
    return Answer.read(CA, json.dumps(fields).encode())


def window(start: object, end: object, **more) -> Answer:
    return answer(suggestedWindow={"start": start, "end": end}, **more)


def test_a_directory_has_what_every_ca_must_have_and_the_rest_if_it_is_there():
    found = read_directory(answer(**POINTS))
    assert (found.key_change, found.renewal_info, found.offered.profiles) == ("", "", {})
    assert not found.offered.has_renewal_info
    assert not found.offered.needs_binding
    full = read_directory(
        answer(
            **POINTS,
            keyChange=URL,
            renewalInfo=f"{URL}/",
            meta={
                "termsOfService": "https://ca.example/terms",
                "website": "https://ca.example",
                "profiles": {f"p{number}": "x" for number in range(99)},
                "externalAccountRequired": True,
            },
        )
    )
    assert (full.renewal_info, full.offered.needs_binding) == (URL, True)
    assert len(full.offered.profiles) == PROFILES_MAX
    assert full.offered.terms_url == "https://ca.example/terms"


@pytest.mark.parametrize("name", POINTS)
def test_a_directory_without_what_it_must_have_is_none(name):
    with pytest.raises(CaError, match=name):
        read_directory(answer(**{**POINTS, name: None}))


@pytest.mark.parametrize(
    "url", ["http://ca.example", "https://", "https://a b", "https://a\n", 5, None, "https://é.example"]
)
def test_an_address_is_of_https_and_printable(url):
    with pytest.raises(CaError) as caught:
        checked_url(CA, url, "finalize")
    assert caught.value.is_final


def test_an_address_is_bounded():
    longest = "https://" + "a" * (URL_MAX_CHARS - 8)
    assert checked_url(CA, longest, "x") == longest
    with pytest.raises(CaError):
        checked_url(CA, longest + "a", "x")


def test_an_order_has_its_steps_and_what_was_wrong():
    fields = {"status": "invalid", "authorizations": [URL] * NAMES_MAX, "finalize": URL}
    error = {"type": "urn:ietf:params:acme:error:caa", "detail": "no"}
    found = read_order(answer(**fields, error=error), url=URL, retry_after_s=5.0)
    assert (found.status, found.type, found.message, found.retry_after_s) == ("invalid", "caa", "no", 5.0)
    assert (len(found.authorization_urls), found.certificate_url) == (NAMES_MAX, "")
    with pytest.raises(CaError, match="more than 100 authorizations"):
        read_order(
            answer(**{**fields, "authorizations": [URL] * (NAMES_MAX + 1)}), url=URL, retry_after_s=None
        )


def test_names_are_compared_in_small_letters_and_addresses_in_one_form():
    identifiers = [{"type": "dns", "value": "A.example"}, {"type": "ip", "value": "2001:DB8:0::1"}]
    assert read_names(answer(identifiers=identifiers)) == {"a.example", "2001:db8::1"}


@pytest.mark.parametrize("value", ["", None, 5])
def test_an_identifier_has_a_name(value):
    with pytest.raises(CaError, match="identifier"):
        read_names(answer(identifiers=[{"type": "dns", "value": value}]))


def test_an_authorization_has_challenges_of_kinds_that_nobody_knows():
    challenge = {"type": "new-01", "url": URL, "status": "pending", "token": "t" * 22}
    fields = {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}}
    found = read_authorization(answer(**fields, challenges=[challenge]))
    assert found.challenges["new-01"].token == "t" * 22
    assert "t" * 22 not in repr(found)
    with pytest.raises(CaError, match="challenges"):
        read_authorization(answer(**fields, challenges=[challenge] * (CHALLENGES_MAX + 1)))


@pytest.mark.parametrize(
    ("issuers", "kept"),
    [
        (["ca.example", "b.example"], ("ca.example", "b.example")),
        (["ca.example; accounturi=evil", "a b.example", 5, "", "localhost", "x" * 300 + ".example"], ()),
        ("ca.example", ()),
        ([f"{number}.example" for number in range(11)], tuple(f"{number}.example" for number in range(10))),
    ],
)
def test_an_issuer_that_could_be_more_than_a_name_in_a_record_is_left_out(issuers, kept):
    challenge = {"type": "dns-persist-01", "url": URL, "status": "pending", "issuer-domain-names": issuers}
    fields = {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}}
    assert (
        read_authorization(answer(**fields, challenges=[challenge])).challenges["dns-persist-01"].issuers
        == kept
    )


def test_a_window_is_read_from_dates_with_a_zone():
    found = read_suggested(
        window(
            "2025-01-02T04:00:00.123456789Z",
            "2025-01-03T05:00:00+01:00",
            explanationURL="https://ca.example/why",
        ),
        retry_after_s=60.0,
    )
    assert found.window.start_s == pytest.approx(datetime(2025, 1, 2, 4, tzinfo=UTC).timestamp(), abs=0.2)
    assert found.window.end_s == datetime(2025, 1, 3, 4, tzinfo=UTC).timestamp()
    assert (found.why, found.retry_after_s) == ("https://ca.example/why", 60.0)


@pytest.mark.parametrize("why", ["javascript:alert(1)", 5, None, "https://a b", "http://ca.example"])
def test_an_explanation_is_an_address_of_https_or_nothing(why):
    found = read_suggested(
        window("2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z", explanationURL=why), retry_after_s=None
    )
    assert found.why == ""


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-01-02T04:00:00Z", "2025-01-02T04:00:00Z"),
        ("2025-01-03T04:00:00Z", "2025-01-02T04:00:00Z"),
        ("2025-01-02T04:00:00", "2025-01-03T04:00:00"),
        ("2025-01-02", "2025-01-03"),
        (5, None),
        ("0001-01-01T00:00:00+14:00", "x"),
    ],
)
def test_a_window_that_is_none_is_an_error(start, end):
    with pytest.raises(CaError):
        read_suggested(window(start, end), retry_after_s=None)


def test_links_of_a_relation_are_found_in_order_among_others():
    header = (
        '<https://ca.example/dir>;rel="index", <https://ca.example/a>; rel="alternate", '
        '<https://ca.example/b>;title="x; rel=alternate, <https://evil.example>";rel=next,'
        "<https://ca.example/c> ; REL = Alternate,<https://ca.example/a>;rel=alternate"
    )
    assert links(CA, header, "alternate") == ("https://ca.example/a", "https://ca.example/c")
    assert links(CA, header, "next") == ("https://ca.example/b",)
    assert links(CA, None, "next") == ()


def test_links_are_bounded_and_of_https():
    header = ",".join(f"<https://ca.example/{number}>;rel=alternate" for number in range(LINKS_MAX + 5))
    assert len(links(CA, header, "alternate")) == LINKS_MAX
    with pytest.raises(CaError):
        links(CA, "<http://ca.example/a>;rel=alternate", "alternate")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b'{"a"', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_no_answer(body):
    with pytest.raises(CaError, match="not a JSON object"):
        Answer.read(CA, body)
