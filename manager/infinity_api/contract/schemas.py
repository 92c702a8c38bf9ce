"""JSON schemas of the existing clients' API, as its operations refer to them; everything in them comes from the descriptions.

Decides how a description reads as JSON Schema. Invariant: no schema of an answer has a field that is hidden, and no schema of a
request has one that is read-only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from manager.infinity_api.contract.description import Field, Kind, Method, Resource, Value
from manager.infinity_api.contract.index import RESOURCES

Json = dict[str, Any]

TIME_PATTERN: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?$"
TYPES: Final[Mapping[Kind, str]] = {
    Kind.STRING: "string",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.FLOAT: "number",
    Kind.DATETIME: "string",
    Kind.RELATED: "string",
    Kind.LIST: "array",
}
TEXT: Final = {"type": "string"}


def management_schemas() -> Json:
    """Return the schemas that the operations refer to."""
    schemas: Json = {}
    for resource in RESOURCES:
        if not resource.is_command:
            schemas[_name(resource)] = _answer(resource)
        if resource.writable and (resource.list_methods | resource.detail_methods) - {Method.GET}:
            schemas[_name(resource, "new")] = _request(resource, whole=True)
            if not resource.is_command:
                schemas[_name(resource, "change")] = _request(resource, whole=False)
    return schemas


def _answer(resource: Resource) -> Json:
    return {
        "type": "object",
        "title": resource.title,
        "properties": {field.name: _shown(field) for field in resource.shown},
        "required": [field.name for field in resource.shown if not field.left_out],
    }


def _request(resource: Resource, *, whole: bool) -> Json:
    required = [field.name for field in resource.writable if field.is_required] if whole else []
    return {
        "type": "object",
        "title": resource.title,
        "properties": {field.name: _taken(field) for field in resource.writable},
        **({"required": required} if required else {}),
    }


def _shown(field: Field) -> Json:
    schema = _kind(field)
    if field.masked:
        schema = {"const": ""}
    elif field.nested:
        schema = {"type": "array", "items": {"type": "object"}}
    elif field.nullable or (field.kind is Kind.RELATED and not field.is_many):
        # a link is null, too, where what it pointed to is gone
        schema["type"] = _or_null(field, schema)
    return schema | ({"description": field.help} if field.help else {})


def _taken(field: Field) -> Json:
    schema = _kind(field)
    if field.max_length is not None:
        (schema["items"] if field.is_many else schema)["maxLength"] = field.max_length
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    if field.choices:
        choices: list[Value] = [*field.choices, *([None] if field.nullable else [])]
        schema["enum"] = choices
    if field.nullable:
        schema["type"] = _or_null(field, schema)
    if field.is_hidden:
        schema["writeOnly"] = True
    if field.has_default and not field.is_hidden:
        schema["default"] = field.default
    return schema | ({"description": field.help} if field.help else {})


def _or_null(field: Field, schema: Json) -> list[str]:
    return [schema["type"], *(["object"] if field.or_object else []), "null"]


def _kind(field: Field) -> Json:
    if field.is_many:
        return {"type": "array", "items": dict(TEXT)}
    if field.kind is Kind.DATETIME:
        return {"type": "string", "pattern": TIME_PATTERN}
    return {"type": TYPES[field.kind]}


def reference(resource: Resource, part: str = "") -> Json:
    """Return a reference to the schema of a resource's answers, or to that of its `new` or `change` requests."""
    return {"$ref": f"#/components/schemas/{_name(resource, part)}"}


def _name(resource: Resource, part: str = "") -> str:
    words: Sequence[str] = [resource.namespace, resource.name, *([part] if part else [])]
    return "_".join(words)
