import pytest

from manager.infinity_api.contract.description import ROOT, Method
from manager.infinity_api.contract.index import RESOURCES, ROOTS, Part, find
from manager.infinity_api.contract.schema import root_document, schema_document
from tests.fakes.cli_client import read_root, read_schema

CONFIGURATION = f"{ROOT}/configuration/v1/"


def test_pitfall_6_there_are_six_roots_and_each_is_an_object_that_a_strict_client_reads():
    assert len(ROOTS) == 6
    named = {name for path in ROOTS for name in read_root(root_document(path))}
    assert named == {resource.name for resource in RESOURCES}
    assert root_document(f"{ROOT}/command/v1/conference/") == {}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.path)
def test_every_schema_is_one_that_a_strict_client_reads(resource):
    schema = read_schema(schema_document(resource))
    assert set(schema.fields) == {field.name for field in resource.fields}
    assert set(schema.filtering) <= set(schema.fields)
    assert set(schema.ordering) <= set(schema.fields)


def test_pitfall_5_post_stands_in_the_detail_methods_wherever_objects_can_be_made():
    for resource in RESOURCES:
        shown = schema_document(resource)["allowed_detail_http_methods"]
        assert ("post" in shown) == (Method.POST in resource.list_methods)


def test_the_flags_that_a_strict_client_demands_are_the_fields_that_a_create_needs():
    required = {
        resource.name: read_schema(schema_document(resource)).required_flags()
        for resource in RESOURCES
        if Method.POST in resource.list_methods
    }
    assert required["tls_certificate"] == {"certificate", "private_key"}
    assert required["ca_certificate"] == {"certificate"}
    assert required["certificate_signing_request"] == {"subject_name"}
    assert required["certificates_import"] == {"bundle"}
    assert required["system_location"] == {"name"}
    assert required["worker_vm"] == {
        "name", "hostname", "domain", "address", "netmask", "gateway", "system_location"
    }  # fmt: skip


def test_a_schema_says_what_a_field_takes():
    fields = schema_document(next(each for each in RESOURCES if each.name == "worker_vm"))["fields"]
    assert fields["node_type"]["valid_choices"] == ["CONFERENCING", "PROXYING"]
    assert fields["system_location"]["related_type"] == "to_one"
    assert fields["static_routes"]["related_type"] == "to_many"
    assert fields["tls_certificate"]["nullable"] is True
    assert fields["id"] == {
        "blank": True,
        "default": "",
        "help_text": "The primary key.",
        "nullable": False,
        "readonly": True,
        "type": "integer",
        "unique": True,
    }
    assert "default" not in fields["name"]


@pytest.mark.parametrize(
    ("path", "part", "text"),
    [
        (f"{CONFIGURATION}", Part.ROOT, CONFIGURATION),
        (f"{CONFIGURATION}tls_certificate/", Part.COLLECTION, ""),
        (f"{CONFIGURATION}tls_certificate", Part.COLLECTION, ""),
        (f"/{CONFIGURATION}tls_certificate/7/", Part.OBJECT, "7"),
        (f"{CONFIGURATION}tls_certificate/seven/", Part.OBJECT, "seven"),
        (f"{CONFIGURATION}tls_certificate/schema/", Part.SCHEMA, ""),
        (f"{ROOT}/status/v1/worker_vm/7/statistics/", Part.STATISTICS, "7"),
        (f"{CONFIGURATION}oauth2_client/{'a' * 32}/", Part.OBJECT, "a" * 32),
        (f"{CONFIGURATION}conference/schema/", Part.SCHEMA, ""),
        (f"{CONFIGURATION}tls_certificate/set/1;2/", Part.SET, "1;2"),
        (f"{CONFIGURATION}tls_certificate/set/", Part.OBJECT, "set"),
        (f"{ROOT}/command/v1/platform/certificates_import/", Part.COMMAND, ""),
        (f"{ROOT}/command/v1/certificates/import/", Part.COMMAND, ""),
        (f"{ROOT}/command/v1/platform/certificates_import/schema/", Part.SCHEMA, ""),
    ],
)
def test_a_path_means_one_thing(path, part, text):
    target = find(path)
    assert target is not None
    assert (target.part, target.text) == (part, text)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        ROOT,
        f"{ROOT}/configuration/",
        f"{CONFIGURATION}trusted_ca_certificate/",
        f"{CONFIGURATION}tls_certificate/7/more/",
        f"{ROOT}/command/v1/platform/certificates_import/7/",
        f"{ROOT}/status/v1/management_vm/1/statistics/",
    ],
)
def test_other_paths_mean_nothing(path):
    assert find(path) is None
