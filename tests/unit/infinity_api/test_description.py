import dataclasses

import pytest

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    UNSET,
    Field,
    FilterComparison,
    Kind,
    Method,
)
from tests.unit.infinity_api.examples import ALARM, CERTIFICATE, IMPORT, WORKER


def test_an_object_lives_under_its_namespace_version_and_name():
    assert CERTIFICATE.uri(3) == "/api/admin/configuration/v1/tls_certificate/3/"
    assert ALARM.path == "/api/admin/status/v1/alarm/"
    assert IMPORT.path == "/api/admin/command/v1/platform/certificates_import/"
    assert IMPORT.schema_path == "/api/admin/command/v1/platform/certificates_import/schema/"


def test_pitfall_5_post_stands_in_the_detail_methods_that_a_schema_shows_though_only_the_list_takes_it():
    assert Method.POST not in CERTIFICATE.detail_methods
    assert CERTIFICATE.shown_detail_methods == (Method.GET, Method.POST, Method.PATCH, Method.DELETE)
    assert ALARM.shown_detail_methods == (Method.GET,)
    assert IMPORT.shown_detail_methods == (Method.POST,)


def test_a_field_is_required_by_the_rule_of_the_command_line_client():
    required = [field.name for field in CERTIFICATE.fields if field.is_required]
    assert required == ["certificate", "private_key"]
    assert [field.name for field in WORKER.fields if field.is_required] == ["name", "system_location"]
    assert Field(name="x", default=None).is_required


def test_what_is_secret_or_write_only_is_never_among_what_is_shown():
    assert "private_key" not in [field.name for field in CERTIFICATE.shown]
    assert {"password", "note"}.isdisjoint(field.name for field in WORKER.shown)


def test_read_only_fields_are_not_writable():
    assert {"id", "start_date", "resource_uri"}.isdisjoint(field.name for field in CERTIFICATE.writable)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": True, "filtering": frozenset({FilterComparison.EXACT})},
        {"writeonly": True, "orderable": True},
        {"secret": True, "readonly": True},
        {"masked": True},
        {"secret": True, "default": "hunter2"},
        {"kind": Kind.RELATED},
        {"related": "worker_vm"},
        {"choices": ("A", "B"), "default": "C"},
        {"through": ("name",)},
        {"kind": Kind.LIST, "orderable": True},
    ],
)
def test_a_description_that_contradicts_itself_cannot_be_made(wrong):
    with pytest.raises(ValueError, match="x: "):
        Field(name="x", **wrong)


def test_two_fields_of_one_name_cannot_be_described():
    with pytest.raises(ValueError, match="same name"):
        dataclasses.replace(ALARM, fields=(ALARM.fields[0], ALARM.fields[0]))


@pytest.mark.parametrize(
    ("field", "initial"),
    [
        (Field(name="x"), ""),
        (Field(name="x", nullable=True), None),
        (Field(name="x", default="public"), "public"),
        (Field(name="x", kind=Kind.LIST), []),
        (Field(name="x", kind=Kind.BOOLEAN), False),
        (Field(name="x", kind=Kind.INTEGER, blank=True), 0),
        (Field(name="x", kind=Kind.DATETIME, blank=True), None),
    ],
)
def test_a_new_object_has_the_default_or_the_empty_value_of_the_kind(field, initial):
    assert field.initial == initial


def test_filters_are_listed_in_one_order():
    assert WORKER.filtering["name"] == tuple(FilterComparison)
    assert CERTIFICATE.filtering["key_id"] == (FilterComparison.EXACT, FilterComparison.ISNULL)
    assert set(FilterComparison) == ALL_LOOKUPS
    assert repr(UNSET) == "UNSET"
