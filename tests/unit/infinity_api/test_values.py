import math
import string
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.infinity_api.contract.description import Field, Kind, Namespace
from manager.infinity_api.contract.values import (
    Reference,
    WrongValueError,
    read_path_id,
    read_reference,
    read_time,
    read_value,
    write_object,
    write_time,
    write_value,
)
from tests.unit.infinity_api.examples import ALL, CERTIFICATE, WORKER

LOCATION = WORKER.by_name["system_location"]
DNS = WORKER.by_name["dns_servers"]
CPUS = WORKER.by_name["vm_cpu_count"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (1735787045, "2025-01-02T03:04:05"),
        (1735787045.5, "2025-01-02T03:04:05.500000"),
        (1735787045.123456, "2025-01-02T03:04:05.123456"),
        (0, "1970-01-01T00:00:00"),
        (-1, "1969-12-31T23:59:59"),
        (253402300799, "9999-12-31T23:59:59"),
        (10**15, "9999-12-31T23:59:59"),
        (-(10**15), "0001-01-01T00:00:00"),
    ],
)
def test_pitfall_1_a_time_is_written_naive_in_utc_with_a_fraction_only_if_it_has_one(time_s, text):
    assert write_time(time_s) == text


@given(st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False))
def test_pitfall_1_no_time_is_ever_written_with_an_offset_or_left_out(time_s):
    written = write_time(time_s)
    assert datetime.fromisoformat(written).tzinfo is None
    assert len(written) in {19, 26}


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-02T03:04:05",
        "2025-01-02 03:04:05",
        "2025-01-02T03:04:05Z",
        "2025-01-02T03:04:05.000Z",
        "2025-01-02T03:04:05+00:00",
        "2025-01-02T03:04:05 00:00",
        "2025-01-02T04:04:05+01:00",
        "2025-01-02T04:04:05 01:00",
        "2025-01-01T21:34:05-0530",
        " 2025-01-02T03:04:05 ",
    ],
)
def test_a_time_is_read_in_each_form_that_a_client_sends(text):
    assert read_time(text) == 1735787045


def test_a_time_may_be_a_day_or_have_a_fraction():
    assert read_time("2025-01-02") == 1735776000
    assert read_time("2025-01-02T03:04") == 1735787040
    assert read_time("2025-01-02T03:04:05.5") == 1735787045.5
    assert read_time("2025-01-02T03:04:05.123456789") == 1735787045.123456


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-13-01",
        "2025-01-02T25:00:00",
        "20250102",
        "0000-01-01",
        "\uff12\uff10\uff12\uff15-01-01",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(WrongValueError):
        read_time(text)


@given(st.integers(-62135596800, 253402300799))
def test_a_written_time_reads_back(time_s):
    assert read_time(write_time(time_s)) == time_s


@pytest.mark.parametrize(
    "text",
    [
        "/api/admin/configuration/v1/worker_vm/3/",
        "//api/admin/configuration/v1/worker_vm/3/",
        "/api/admin/configuration/v1/worker_vm/3",
        "https://manager.example:8443/api/admin/configuration/v1/worker_vm/3/",
        "https://manager.example//api/admin/configuration/v1/worker_vm/3/",
        "https://[2001:db8::1]/api/admin/configuration/v1/worker_vm/3/",
    ],
)
def test_a_reference_is_read_relative_and_absolute(text):
    assert read_reference(text) == Reference(
        namespace=Namespace.CONFIGURATION, group="", name="worker_vm", id=3
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "/api/admin/configuration/v1/worker_vm/",
        "/api/admin/configuration/v1/worker_vm/x/",
        "/api/admin/configuration/v1/worker_vm/3/?a=b",
        "/api/admin/configuration/v2/worker_vm/3/",
        "/api/admin/other/v1/worker_vm/3/",
        "ftp://m/api/admin/configuration/v1/worker_vm/3/",
        "/api/admin/configuration/v1/worker_vm/" + "9" * 30 + "/",
        "https://[/api/admin/configuration/v1/worker_vm/3/../",
    ],
)
def test_what_is_no_reference_is_none(text):
    assert read_reference(text) is None


def test_a_related_object_reads_from_its_uri_or_from_the_object_and_writes_as_its_uri():
    uri = "/api/admin/configuration/v1/system_location/4/"
    assert read_value(LOCATION, uri) == 4
    assert read_value(LOCATION, {"resource_uri": uri, "name": "Oslo"}) == 4
    assert write_value(LOCATION, 4) == uri


def test_related_objects_are_a_list_of_uris_or_of_objects_without_repetition():
    uri = "/api/admin/configuration/v1/dns_server/1/"
    assert read_value(DNS, [uri, uri]) == [1]
    assert read_value(DNS, None) == []
    assert write_value(DNS, [{"id": 1, "address": "192.0.2.1"}]) == [{"id": 1, "address": "192.0.2.1"}]
    assert write_value(DNS, [1]) == [uri]


@pytest.mark.parametrize("value", ["/api/admin/configuration/v1/worker_vm/4/", "4", 4, "", {}, [], True])
def test_a_reference_to_another_kind_of_object_is_refused(value):
    with pytest.raises(WrongValueError):
        read_value(LOCATION, value)


@pytest.mark.parametrize("value", [8, "8", " 8 ", 8.0])
def test_a_number_may_be_text(value):
    assert read_value(CPUS, value) == 8


@pytest.mark.parametrize("value", ["x", 8.5, True, 1, 129, 10**30, "9" * 40, [], {}, "", "٣"])
def test_what_is_no_number_within_the_limits_is_refused(value):
    with pytest.raises(WrongValueError):
        read_value(CPUS, value)


@pytest.mark.parametrize(
    ("value", "truth"), [(True, True), ("true", True), ("False", False), (0, False), ("1", True)]
)
def test_a_truth_may_be_text_or_a_digit(value, truth):
    assert read_value(WORKER.by_name["maintenance_mode"], value) is truth


def test_text_may_be_a_number_and_is_otherwise_kept_to_the_byte():
    parameters = CERTIFICATE.by_name["parameters"]
    assert read_value(parameters, 5) == "5"
    assert read_value(parameters, " a\r\n\n") == " a\r\n\n"


def test_pitfall_3_pem_text_is_kept_to_the_last_byte_with_and_without_its_newline():
    field = CERTIFICATE.by_name["certificate"]
    for pem in ("Bag Attributes\n-----BEGIN\r\nMII=\n-----END\n", "-----BEGIN", "x\n\n", "\ufeffx"):
        assert read_value(field, pem) == pem
        assert write_value(field, pem) == pem


@pytest.mark.parametrize("value", ["a\0b", True, [], {}])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(WrongValueError):
        read_value(WORKER.by_name["description"], value)


def test_a_required_text_is_not_empty_and_another_may_be():
    with pytest.raises(WrongValueError, match="cannot be blank"):
        read_value(WORKER.by_name["name"], "")
    assert read_value(WORKER.by_name["description"], "") == ""
    assert read_value(WORKER.by_name["password"], "") == ""


def test_a_choice_is_one_of_them_and_empty_text_is_the_default():
    field = WORKER.by_name["node_type"]
    assert read_value(field, "PROXYING") == "PROXYING"
    assert read_value(field, "") == "CONFERENCING"
    with pytest.raises(WrongValueError, match="'proxying' is not a valid choice"):
        read_value(field, "proxying")


@given(st.sampled_from([field for resource in ALL for field in resource.writable]), JSON)
def test_any_value_is_taken_or_refused_and_what_is_taken_can_be_written(field, value):
    try:
        held = read_value(field, value)
    except WrongValueError:
        return
    write_value(field, held)


@given(
    st.text(string.ascii_letters + string.digits, min_size=24, max_size=200),
    st.sampled_from(list(Kind)),
)
def test_a_secret_is_never_quoted(text, kind):
    related = "worker_vm" if kind is Kind.RELATED else ""
    field = Field(name="x", kind=kind, secret=True, related=related, max_length=3, choices=(1,))
    with pytest.raises(WrongValueError) as caught:
        read_value(field, text)
    assert text not in str(caught.value)


def test_a_long_or_many_lined_value_is_not_quoted_as_it_may_be_a_key_in_the_wrong_field():
    for text in ("-----BEGIN PRIVATE KEY-----\nMII", "M" * 100):
        with pytest.raises(WrongValueError) as caught:
            read_value(LOCATION, text)
        assert text not in str(caught.value)


def test_an_object_is_written_with_every_shown_field_its_uri_and_no_secret():
    written = write_object(
        CERTIFICATE,
        {
            "id": 3,
            "certificate": "PEM",
            "private_key": "KEY",
            "private_key_passphrase": "WORD",
            "start_date": 0,
        },
    )
    assert list(written) == [field.name for field in CERTIFICATE.shown]
    assert written["resource_uri"] == CERTIFICATE.uri(3)
    assert written["start_date"] == "1970-01-01T00:00:00"
    assert written["nodes"] == []
    assert written["key_id"] is None
    assert "private_key" not in written
    assert written["private_key_passphrase"] == ""


def test_lists_and_floats_read_as_such():
    assert read_value(CERTIFICATE.by_name["nodes"], ["a.example"]) == ["a.example"]
    assert read_value(WORKER.by_name["load"], "1.5") == 1.5
    assert read_value(WORKER.by_name["load"], 2) == 2.0
    for wrong in ("a.example", [1], ["a\0"], {}):
        with pytest.raises(WrongValueError):
            read_value(CERTIFICATE.by_name["nodes"], wrong)
    for wrong in ("nan", "inf", "", True, math.inf, -1, []):
        with pytest.raises(WrongValueError):
            read_value(WORKER.by_name["load"], wrong)


def test_empty_text_is_null_where_a_value_that_is_not_text_may_be_null():
    assert read_value(WORKER.by_name["start_time"], "") is None
    assert read_value(WORKER.by_name["tls_certificate"], "") is None
    assert read_value(Field(name="x", kind=Kind.INTEGER, nullable=True), "") is None
    assert read_value(Field(name="x", kind=Kind.FLOAT, nullable=True), "") is None


def test_a_path_id_is_a_number_that_an_object_could_have():
    assert read_path_id("12") == 12
    assert [read_path_id(text) for text in ("", "x", "-1", "1.0", "9" * 19, "٣")] == [None] * 6


def test_a_precise_time_always_has_a_fraction_that_a_strict_reader_wants():
    assert write_time(1_800_000_000, precise=True) == "2027-01-15T08:00:00.000000"
    assert write_time(1_800_000_000.5, precise=True) == "2027-01-15T08:00:00.500000"
    assert write_time(1_800_000_000) == "2027-01-15T08:00:00"
    field = Field(name="t", kind=Kind.DATETIME, nullable=True, precise=True)
    assert (write_value(field, None), write_value(field, 0)) == (None, "1970-01-01T00:00:00.000000")
