"""Answers of DNS servers: which count, and what people are told of the others."""

import asyncio

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.dns.answers import alias_in, is_authoritative, other_texts, refusal, shown, texts_in
from manager.dns.queries import NoAnswerError, _read, make_query
from tests.fakes.nameserver import answer

NAME = dns.name.from_text("_acme-challenge.example.com")
APEX = dns.name.from_text("example.com")


def answered(*records: str, **how) -> dns.message.Message:
    return dns.message.from_wire(answer(make_query(NAME, dns.rdatatype.TXT), *records, **how).to_wire())


def test_a_question_asks_for_what_the_server_knows_itself():
    assert make_query(NAME, dns.rdatatype.TXT).flags == 0


@pytest.mark.parametrize(("code", "counts"), [(0, True), (3, True), (2, False), (5, False), (9, False)])
def test_only_an_answer_that_says_what_there_is_counts(code, counts):
    assert is_authoritative(answered(code=code)) is counts
    assert not is_authoritative(answered(code=code, is_authoritative=False))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            dns.rcode.NOERROR,
            "does not answer for the zone example.com itself, though the zone names it (lame delegation)",
        ),
        (dns.rcode.NXDOMAIN, "does not answer for the zone example.com itself"),
        (
            dns.rcode.REFUSED,
            "refuses to answer for the zone example.com, though the zone names it (lame delegation)",
        ),
        (dns.rcode.NOTAUTH, "refuses to answer"),
        (dns.rcode.SERVFAIL, "fails (SERVFAIL): it may have no usable copy of the zone example.com"),
        (dns.rcode.NOTIMP, "answers with an error (NOTIMP)"),
    ],
)
def test_a_server_that_does_not_answer_for_the_zone_is_told_with_what_it_does(code, said):
    assert refusal(answered(code=code, is_authoritative=False), APEX).startswith(said)


@pytest.mark.parametrize("ttl", [0, 60, 2**31 - 1])
def test_the_texts_of_a_name_are_those_of_that_name_whatever_their_ttl(ttl):
    found = answered(
        f"_ACME-challenge.example.com. {ttl} IN TXT ours",
        f'_acme-challenge.example.com. {ttl} IN TXT "in " "parts"',
        f"_acme-challenge.example.org. {ttl} IN TXT others",
        f"_acme-challenge.example.com. {ttl} IN A 192.0.2.1",
    )
    assert sorted(texts_in(found, NAME)) == ["in parts", "ours"]


def test_an_alias_is_that_of_the_name_and_not_of_another():
    to = "_acme-challenge.example.com. 5 IN CNAME a.example.org."
    assert shown(alias_in(answered(to), NAME)) == "a.example.org"
    assert alias_in(answered(to.replace("_acme", "acme")), NAME) is None
    assert texts_in(answered(to), NAME) == []


def test_texts_that_are_not_ours_are_shown_without_what_moves_cursors_and_cut():
    assert other_texts([], "a.example") == "has no text at a.example"
    said = other_texts(["\x1b[31mred", "a" * 1000, "c", "d", "e"], "a.example")
    assert said.isprintable()
    assert len(said) < 200
    assert said.endswith("'c' and 2 more")


@given(st.binary(max_size=300), st.integers(0, 3))
def test_whatever_comes_is_an_answer_or_is_refused(data, kept):
    asked = make_query(NAME, dns.rdatatype.TXT)
    real = answer(asked, "_acme-challenge.example.com. 5 IN TXT ours").to_wire()
    wire = real[: len(real) * kept // 3] + data
    try:
        found = asyncio.run(_read(wire, asked, keyring=None))
    except (NoAnswerError, dns.exception.DNSException):
        return
    texts_in(found, NAME)
    alias_in(found, NAME)
    refusal(found, APEX)
