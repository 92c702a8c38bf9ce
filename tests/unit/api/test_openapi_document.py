import json
import re

from manager.api.app import ROOT, ROUTES
from manager.api.openapi import build_document
from manager.api.reference import _marked, groups
from manager.infinity_api.contract.description import Method
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from manager.infinity_api.contract.openapi import management_document
from manager.infinity_api.contract.schemas import management_schemas

DOCUMENT = build_document(ROUTES, root=ROOT, others=management_document())
OPERATIONS = {
    (method, path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}


def test_every_route_is_described_with_its_role_and_its_answers():
    for route in ROUTES:
        operation = OPERATIONS[route.method.lower(), f"{ROOT}/{route.path}"]
        assert operation["x-role"] == route.role
        assert {str(status) for status in route.answers} <= set(operation["responses"])
        assert ("requestBody" in operation) == (route.body is not None)
        assert "404" in operation["responses"] or not any(each.must_exist for each in route.query)
        named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", route.path))


def test_every_resource_is_described_with_its_methods_and_no_others():
    for resource in RESOURCES:
        at = {method for method, path in OPERATIONS if path == resource.path}
        assert at == {str(each) for each in resource.list_methods}
        below = {method for method, path in OPERATIONS if path == f"{resource.path}{{id}}/"}
        assert below == {str(each) for each in resource.detail_methods}
        assert ("get", resource.schema_path) in OPERATIONS
        for alias in resource.aliases:
            assert ("post", alias) in OPERATIONS
    assert {("get", root) for root in ROOTS} <= set(OPERATIONS)


def test_every_reference_leads_somewhere():
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert wanted <= set(DOCUMENT["components"]["schemas"])
    assert not [name for name in DOCUMENT["components"]["schemas"] if "." in name], "two types have one name"


def test_no_answer_is_described_with_what_is_hidden():
    schemas = management_schemas()
    for resource in RESOURCES:
        shown = schemas.get(f"{resource.namespace}_{resource.name}", {"properties": {}})["properties"]
        for field in resource.fields:
            if field.is_hidden:
                assert shown.get(field.name, {"const": ""})["const"] == "", field.name
                taken = schemas[f"{resource.namespace}_{resource.name}_new"]["properties"][field.name]
                assert (taken["writeOnly"], "default" in taken) == (True, False)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name.endswith("Answer"):
            assert not {"private_key", "password", "passphrase"} & set(schema.get("properties", {})), name


def test_a_request_takes_what_the_description_takes():
    for resource in RESOURCES:
        if Method.POST in resource.list_methods:
            schema = management_schemas()[f"{resource.namespace}_{resource.name}_new"]
            assert set(schema["properties"]) == {each.name for each in resource.writable}
            assert set(schema.get("required", [])) == {
                each.name for each in resource.writable if each.is_required
            }


def test_the_page_shows_every_operation_once_with_a_command_to_try():
    shown = [each for operations in groups(DOCUMENT).values() for each in operations]
    assert {(each.method.lower(), each.path) for each in shown} == set(OPERATIONS)
    assert len({each.anchor for each in shown}) == len(shown)
    for each in shown:
        assert each.curl.startswith("curl ")
        assert each.text
        assert each.answers
    upload = next(each for each in shown if (each.method, each.path) == ("POST", f"{ROOT}/certificates"))
    assert [(each.name, each.required) for each in upload.values][:2] == [
        ("certificate", True),
        ("private_key", False),
    ]
    assert upload.curl.endswith("""--json '{"certificate": "..."}'""")


def test_what_stands_on_the_page_is_text_and_code_between_backticks():
    assert _marked("a `b` <i>`</i>") == "a <code>b</code> &lt;i&gt;`&lt;/i&gt;"
