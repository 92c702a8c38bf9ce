from dataclasses import replace

import pytest

from manager.infinity_api.contract.bodies import BULK_MAX, read_bulk, read_values
from manager.infinity_api.contract.description import Field, Kind, Resource
from manager.infinity_api.contract.errors import InvalidRequestError, ValuesError
from manager.infinity_api.contract.resources.nodes import WORKER_VM
from tests.unit.infinity_api.examples import CERTIFICATE, WORKER

WHOLE = {"name": "n", "system_location": "/api/admin/configuration/v1/system_location/3/"}


def test_a_create_has_every_field_that_can_be_set_with_its_default_where_none_was_given():
    values = read_values(WORKER, WHOLE, whole=True)
    assert values["name"] == "n"
    assert values["system_location"] == 3
    assert (values["vm_cpu_count"], values["node_type"], values["dns_servers"]) == (4, "CONFERENCING", [])
    assert values["tls_certificate"] is None
    assert set(values) == {field.name for field in WORKER.writable}


def test_a_change_has_only_what_was_given_and_null_clears():
    values = read_values(
        WORKER, {"tls_certificate": None, "dns_servers": None, "description": ""}, whole=False
    )
    assert values == {"tls_certificate": None, "dns_servers": [], "description": ""}


def test_unknown_and_readonly_fields_are_ignored():
    body = {
        "certificate": "x",
        "private_key": "y",
        "id": 7,
        "resource_uri": "z",
        "subject_name": "s",
        "more": [1],
    }
    assert set(read_values(CERTIFICATE, body, whole=False)) == {"certificate", "private_key"}


@pytest.mark.parametrize("body", [None, [], "text", 7, True])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(InvalidRequestError) as caught:
        read_values(CERTIFICATE, body, whole=False)
    assert caught.value.body == {"error": "The body must be a JSON object."}


def test_missing_fields_are_named_all_at_once_in_the_frameworks_words():
    with pytest.raises(InvalidRequestError) as caught:
        read_values(CERTIFICATE, {}, whole=True)
    assert caught.value.body == {
        "error": "The 'certificate' field has no data and doesn't allow a default or null value."
        " The 'private_key' field has no data and doesn't allow a default or null value."
    }
    with pytest.raises(InvalidRequestError) as caught:
        read_values(CERTIFICATE, {"certificate": None, "private_key": "x"}, whole=True)
    assert "'certificate' field has no data" in caught.value.message


def test_wrong_values_are_named_all_at_once_by_field_missing_ones_too():
    with pytest.raises(ValuesError) as caught:
        read_values(WORKER, {"vm_cpu_count": 1, "node_type": "X", "load": "much"}, whole=True)
    assert set(caught.value.findings) == {"vm_cpu_count", "node_type", "load", "name", "system_location"}
    assert set(caught.value.body) == {"worker_vm"}


def test_no_message_quotes_a_secret():
    secret = "K" * 13_000
    with pytest.raises(ValuesError) as caught:
        read_values(CERTIFICATE, {"private_key": secret, "private_key_passphrase": ["p-s"]}, whole=False)
    assert "KKK" not in str(caught.value.body)
    assert "p-s" not in str(caught.value.body)


def test_several_objects_are_changed_by_uri_made_without_one_and_deleted():
    bulk = read_bulk(
        WORKER,
        {
            "objects": [{"resource_uri": WORKER.uri(4), "description": "d"}, {**WHOLE, "resource_uri": ""}],
            "deleted_objects": [WORKER.uri(9)],
        },
        {},
    )
    assert [change.object_id for change in bulk.changes] == [4, None]
    assert bulk.changes[0].values == {"description": "d"}
    assert bulk.changes[1].values["vm_cpu_count"] == 4
    assert bulk.deleted == [9]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "must be a JSON object"),
        ({}, "missing 'objects'"),
        ({"objects": {}}, "a list 'objects'"),
        ({"objects": ["x"]}, "objects[0]"),
        ({"objects": [{}]}, "objects[0]: The 'name' field has no data"),
        (
            {"objects": [{"resource_uri": "/api/admin/configuration/v1/dns_server/1/"}]},
            "not the URI of a worker_vm",
        ),
        ({"objects": [{"resource_uri": 7}]}, "not the URI of a worker_vm"),
        ({"objects": [{"resource_uri": WORKER.uri(1), "vm_cpu_count": 1}]}, "objects[0]: Ensure"),
        ({"objects": [], "deleted_objects": "all"}, "'deleted_objects' must be a list"),
        ({"deleted_objects": ["x"]}, "deleted_objects: 'x' is not the URI"),
        ({"objects": [{}] * (BULK_MAX + 1)}, f"at most {BULK_MAX}"),
    ],
)
def test_a_change_of_several_that_cannot_be_is_refused_with_its_place(body, text):
    with pytest.raises(InvalidRequestError) as caught:
        read_bulk(WORKER, body, {})
    assert text in caught.value.message


def test_null_where_it_is_no_value_and_zero_where_it_means_unset_say_nothing():
    node = Resource(
        namespace=WORKER.namespace,
        name="n",
        title="N",
        list_methods=WORKER.list_methods,
        detail_methods=WORKER.detail_methods,
        fields=(
            Field(name="count", kind=Kind.INTEGER, default=4, minimum=2, zero_is_absent=True),
            Field(name="plain", kind=Kind.INTEGER, default=4),
            Field(name="note", nullable=True, default="n"),
            Field(name="required"),
        ),
    )
    body = {"count": None, "plain": None, "note": None, "required": "r"}
    assert read_values(node, body, whole=False) == {"note": None, "required": "r"}
    assert read_values(node, body, whole=True) == {"count": 4, "plain": 4, "note": None, "required": "r"}
    for zero in (0, "0", 0.0):
        assert read_values(node, {"count": zero, "plain": zero}, whole=False) == {"plain": 0}
        assert read_values(node, {"count": zero, "required": "r"}, whole=True)["count"] == 4
    for wrong in (False, 1, ""):
        with pytest.raises(ValuesError):
            read_values(node, {"count": wrong}, whole=False)
    assert read_values(node, {"required": None}, whole=False) == {}


def test_fields_that_are_not_described_are_kept_only_where_the_resource_keeps_them_and_no_secret_speaks_from_them():
    body = {
        **WHOLE,
        "more": [1, {"a": None}],
        "api_token": "t",
        "db_password": "p",
        "private_key": "k",
        "X": 1,
    }
    assert "more" not in read_values(WORKER, body, whole=True)
    values = read_values(replace(WORKER, keeps_more=True), body, whole=True)
    assert set(values) - {field.name for field in WORKER.writable} == {"more"}
    assert values["more"] == [1, {"a": None}]


def test_what_an_answer_shows_can_be_written_back_and_is_refused_where_it_is_new():
    before = {"name": "n" * 40, "netmask": "", "gateway": "192.0.2.254"}
    body = {"name": "n" * 40, "netmask": "", "description": "d"}
    assert read_values(WORKER_VM, body, whole=False, before=before) == {"description": "d"}
    objects = {"objects": [{**body, "resource_uri": WORKER_VM.uri(4)}]}
    assert read_bulk(WORKER_VM, objects, {4: before}).changes[0].values == {"description": "d"}
    for wrong in ({"gateway": ""}, {"name": "m" * 40}):
        with pytest.raises(ValuesError):
            read_values(WORKER_VM, wrong, whole=False, before=before)
    with pytest.raises(ValuesError):
        read_values(WORKER_VM, {"password": ["p"]}, whole=False, before={"password": ["p"]})
