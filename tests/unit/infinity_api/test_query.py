import contextlib

import pytest

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    ID,
    Field,
    FilterComparison,
    Kind,
    Method,
    Namespace,
    Resource,
)
from manager.infinity_api.contract.errors import MISMATCH, InvalidRequestError
from manager.infinity_api.contract.filters import PATTERN_MAX
from manager.infinity_api.contract.query import DEFAULT_LIMIT, LIMIT_MAX, envelope, page, read_query, select
from tests.unit.infinity_api.examples import CERTIFICATE, WORKER

NEW_YEAR_S = 1_767_225_600
"""2026-01-01T00:00:00 UTC."""

ROWS = [
    {
        "id": number,
        "name": name,
        "description": text,
        "vm_cpu_count": cpus,
        "load": cpus / 2,
        "maintenance_mode": number == 2,
        "ipv6_address": None if number == 1 else f"2001:db8::{number}",
        "system_location": location,
        "system_location__name": {7: "Oslo", 8: "Bergen", None: None}[location],
        "tls_certificate": certificate,
        "start_time": None if number == 3 else NEW_YEAR_S + number * 60,
    }
    for number, name, text, cpus, location, certificate in [
        (1, "alpha", "First", 2, 7, None),
        (2, "Beta", "second", 8, 8, 40),
        (3, "gamma", "", 4, 7, 41),
        (4, "beta", "second", 16, None, None),
    ]
]


def ids(*parameters: tuple[str, str]) -> list[int]:
    return [*select(read_query(WORKER, parameters), by_id(ROWS))]


def by_id(rows):
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("name", "beta", [4]),
        ("name__exact", "Beta", [2]),
        ("name__", "Beta", [2]),
        ("name__iexact", "BETA", [2, 4]),
        ("name__contains", "eta", [2, 4]),
        ("name__contains", "ETA", []),
        ("name__icontains", "ETA", [2, 4]),
        ("name__startswith", "be", [4]),
        ("name__istartswith", "be", [2, 4]),
        ("name__endswith", "a", [1, 2, 3, 4]),
        ("name__endswith", "MA", []),
        ("name__iendswith", "MA", [3]),
        ("name__regex", "^[a-g].*a$", [1, 3, 4]),
        ("name__iregex", "^B", [2, 4]),
        ("name__lt", "alpha", [2]),
        ("name__lte", "alpha", [1, 2]),
        ("name__gt", "beta", [3]),
        ("name__gte", "beta", [3, 4]),
        ("name__in", "alpha,gamma,nobody", [1, 3]),
        ("name__range", "a,b", [1]),
        ("name__isnull", "false", [1, 2, 3, 4]),
        ("ipv6_address__isnull", "true", [1]),
        ("ipv6_address__isnull", "0", [2, 3, 4]),
        ("ipv6_address", "None", [1]),
        ("vm_cpu_count", "8", [2]),
        ("vm_cpu_count__gt", "4", [2, 4]),
        ("vm_cpu_count__range", "2,4", [1, 3]),
        ("vm_cpu_count__in", "2,16", [1, 4]),
        ("vm_cpu_count__contains", "6", [4]),
        ("load__lte", "2.0", [1, 3]),
        ("maintenance_mode", "true", [2]),
        ("maintenance_mode", "False", [1, 3, 4]),
        ("id", "3", [3]),
        ("id__in", "4,2", [2, 4]),
        ("start_time", "2026-01-01T00:02:00", [2]),
        ("start_time__gte", "2026-01-01T00:02:00", [2, 4]),
        ("start_time__lt", "2026-01-01T00:02:00Z", [1]),
        ("start_time__isnull", "True", [3]),
        ("start_time__startswith", "2026-01-01T00:0", [1, 2, 4]),
        ("system_location", "7", [1, 3]),
        ("system_location", "/api/admin/configuration/v1/system_location/8/", [2]),
        ("system_location__in", "7,8", [1, 2, 3]),
        ("system_location__isnull", "true", [4]),
        ("system_location__name", "Oslo", [1, 3]),
        ("system_location__name__icontains", "BERG", [2]),
        ("system_location__name__isnull", "true", [4]),
        ("tls_certificate", "none", [1, 4]),
        ("tls_certificate", "99", []),
    ],
)
def test_every_lookup_finds_what_it_says(name, text, expected):
    assert ids((name, text)) == expected


def test_every_lookup_has_an_example():
    tried = {
        mark.args[1][number][0].rpartition("__")[2]
        for mark in test_every_lookup_finds_what_it_says.pytestmark
        for number in range(len(mark.args[1]))
    }
    assert {lookup.value for lookup in FilterComparison} <= tried


def test_filters_hold_together_and_the_last_of_a_repeated_one_counts():
    assert ids(("name__icontains", "eta"), ("vm_cpu_count__gt", "8")) == [4]
    assert ids(("name", "alpha"), ("name", "gamma")) == [3]
    assert ids(("id__in", "1"), ("id__in", "2,3")) == [1, 2, 3]


@pytest.mark.parametrize(
    "name", ["nothing", "name__icontains", "start_time__gte", "username", "x__y__z", "format"]
)
def test_what_is_no_field_is_ignored(name):
    assert select(read_query(CERTIFICATE, [(name, "x")]), {1: {"id": 1}}) == [1]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("ssh_authorized_keys", "1", "The 'ssh_authorized_keys' field does not allow filtering."),
        ("password", "x", "The 'password' field does not allow filtering."),
        ("name__like", "x", "'like' is not an allowed filter on the 'name' field."),
        ("system_location__name__x__y", "1", "more than one level deep"),
        ("system_location__description", "x", "'description' is not an allowed filter"),
        ("id", "seven", MISMATCH),
        ("id__in", "1,x", MISMATCH),
        ("vm_cpu_count__range", "1", MISMATCH),
        ("vm_cpu_count__gt", "none", MISMATCH),
        ("maintenance_mode", "perhaps", MISMATCH),
        ("start_time__lt", "yesterday", MISMATCH),
        ("system_location", "Oslo", MISMATCH),
        ("system_location", "/api/admin/configuration/v1/dns_server/8/", MISMATCH),
        ("ipv6_address__isnull", "maybe", MISMATCH),
        ("id", "9" * 40, MISMATCH),
    ],
)
def test_a_known_field_that_cannot_be_asked_this_way_is_refused(name, text, error):
    with pytest.raises(InvalidRequestError) as caught:
        ids((name, text))
    assert error in caught.value.message


def test_only_the_lookups_that_a_field_is_open_to_are_allowed():
    with pytest.raises(InvalidRequestError) as caught:
        read_query(CERTIFICATE, [("key_id__contains", "A")])
    assert caught.value.message == "'contains' is not an allowed filter on the 'key_id' field."


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (["name"], [2, 1, 4, 3]),
        (["-name"], [3, 4, 1, 2]),
        (["-maintenance_mode", "-id"], [2, 4, 3, 1]),
        (["vm_cpu_count"], [1, 3, 2, 4]),
        (["-vm_cpu_count"], [4, 2, 3, 1]),
        (["ipv6_address"], [1, 2, 3, 4]),
        (["start_time"], [3, 1, 2, 4]),
        (["maintenance_mode"], [1, 3, 4, 2]),
        (["system_location__name", "id"], [4, 2, 1, 3]),
        (["system_location"], [4, 1, 3, 2]),
        ([""], [1, 2, 3, 4]),
    ],
)
def test_order_by_sorts_by_each_key_and_keeps_equal_rows_in_their_order(orders, expected):
    assert ids(*[("order_by", each) for each in orders]) == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("unheard", "No matching 'unheard' field for ordering on."),
        ("-unheard", "No matching 'unheard' field for ordering on."),
        ("system_location__id", "No matching 'system_location__id' field for ordering on."),
        ("description", "The 'description' field does not allow ordering."),
    ],
)
def test_an_order_that_cannot_be_is_refused(text, error):
    with pytest.raises(InvalidRequestError) as caught:
        ids(("order_by", text))
    assert caught.value.message == error


@pytest.mark.parametrize(
    ("text", "limit"), [(None, DEFAULT_LIMIT), ("5", 5), ("0", LIMIT_MAX), ("9999", 9999), ("10000", 10_000)]
)
def test_a_limit_is_taken_as_asked_and_0_means_the_most(text, limit):
    assert read_query(WORKER, [("limit", text)] if text else []).limit == limit


def test_more_than_the_most_is_a_page_of_the_most_with_a_next_one():
    query = read_query(WORKER, [("limit", "50000")])
    written = envelope(WORKER, query, total=LIMIT_MAX + 1, objects=[])
    assert written["meta"]["limit"] == LIMIT_MAX
    assert written["meta"]["next"] == f"{WORKER.path}?limit={LIMIT_MAX}&offset={LIMIT_MAX}"


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("limit", "x", "Invalid limit 'x' provided. Please provide a positive integer."),
        ("limit", "-1", "Invalid limit '-1' provided. Please provide a positive integer >= 0."),
        ("limit", "1.5", "Invalid limit '1.5' provided. Please provide a positive integer."),
        ("limit", "", "Invalid limit '' provided. Please provide a positive integer."),
        ("limit", "\u0663", "Invalid limit"),
        ("offset", "x", "Invalid offset 'x' provided. Please provide an integer."),
        ("offset", "-1", "Invalid offset '-1' provided. Please provide a positive integer >= 0."),
    ],
)
def test_a_bad_limit_or_offset_is_refused(name, text, error):
    with pytest.raises(InvalidRequestError) as caught:
        read_query(WORKER, [(name, text)])
    assert error in caught.value.message


def test_pitfall_7_other_pages_are_null_or_a_path_that_keeps_every_filter():
    query = read_query(
        WORKER,
        [
            ("name__icontains", "a&b"),
            ("limit", "2"),
            ("order_by", "-name"),
            ("order_by", "id"),
            ("offset", "2"),
        ],
    )
    meta = envelope(WORKER, query, total=5, objects=[])["meta"]
    kept = "name__icontains=a%26b&order_by=-name&order_by=id&limit=2&offset="
    assert meta == {
        "limit": 2,
        "offset": 2,
        "total_count": 5,
        "next": f"{WORKER.path}?{kept}4",
        "previous": f"{WORKER.path}?{kept}0",
    }
    alone = envelope(WORKER, read_query(WORKER, []), total=20, objects=[])["meta"]
    assert (alone["next"], alone["previous"]) == (None, None)
    assert envelope(WORKER, read_query(WORKER, []), total=21, objects=[])["meta"]["next"] is not None


def test_pages_cut_what_was_found():
    query = read_query(WORKER, [("limit", "2"), ("offset", "1"), ("order_by", "-id")])
    assert page(query, select(query, by_id(ROWS))) == [3, 2]
    beyond = read_query(WORKER, [("offset", "9" * 25)])
    assert page(beyond, select(beyond, by_id(ROWS))) == []


NAMED = Resource(
    namespace=Namespace.CONFIGURATION,
    name="named",
    title="Named",
    list_methods=frozenset({Method.GET}),
    fields=(ID, Field(name="text", kind=Kind.STRING, filtering=ALL_LOOKUPS)),
)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|aa)*b",
        "(.*a){20}b",
        "(x+x+)+y",
        "(a?){100}a{100}",
        "((a{1,30}){1,30})*$",
        "(.{0,200}){0,4}b",
        "([a-f].{0,50}[a-f].{0,50}){1,6}z",
    ],
)
def test_a_hostile_pattern_is_answered_or_refused_soon(pattern):
    rows = {number: {"id": number, "text": "a" * 250 + "!"} for number in range(1000)}
    # Python's own engine takes years for the first, and the test's time would be over
    with contextlib.suppress(InvalidRequestError):
        select(read_query(NAMED, [("text__regex", pattern)]), rows)


def test_a_pattern_that_costs_too_much_for_all_is_fine_for_few():
    rows = {number: {"id": number, "text": "a" * 250} for number in range(2000)}
    costly = read_query(NAMED, [("text__regex", "(a{1,30}){1,30}$")])
    with pytest.raises(InvalidRequestError):
        select(costly, rows)
    narrow = read_query(NAMED, [("id__lt", "3"), ("text__regex", "(a{1,30}){1,30}$")])
    assert len(select(narrow, rows)) == 3


@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", r"(a)\1", "a" * (PATTERN_MAX + 1), "(((a{999}){999}){999})"]
)
def test_what_is_no_bounded_pattern_is_refused(pattern):
    with pytest.raises(InvalidRequestError) as caught:
        read_query(NAMED, [("text__regex", pattern)])
    assert "regular expression" in caught.value.message.lower()
