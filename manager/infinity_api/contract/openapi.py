"""The management API's share of the OpenAPI document; everything in it comes from the descriptions.

Decides how a description reads as JSON Schema and as operations. Invariant: no schema of an answer has a field that is hidden, and no
schema of a request has one that is read-only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from manager.infinity_api.contract.bodies import BULK_MAX
from manager.infinity_api.contract.description import Field, Kind, Lookup, Method, Resource, Value
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from manager.infinity_api.contract.query import DEFAULT_LIMIT, LIMIT_MAX
from manager.infinity_api.contract.resources.status import WORKER_STATUS

Json = dict[str, Any]

TIME_PATTERN: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?$"
JSON: Final = "application/json"
READER: Final = "read-only"
WRITER: Final = "administrator"

_TYPES: Final[Mapping[Kind, str]] = {
    Kind.STRING: "string",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.FLOAT: "number",
    Kind.DATETIME: "string",
    Kind.RELATED: "string",
    Kind.LIST: "array",
}
_TEXT: Final = {"type": "string"}
_REFUSED: Final[Json] = {
    "description": "The request cannot be carried out as it is.",
    "content": {
        JSON: {
            "schema": {
                "anyOf": [
                    {"type": "object", "properties": {"error": _TEXT}, "required": ["error"]},
                    {
                        "type": "object",
                        "description": "For each field of the resource all that is wrong with it.",
                        "additionalProperties": {
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": _TEXT},
                        },
                    },
                ]
            }
        }
    },
}
_SAID: Final[Json] = {JSON: {"schema": {"type": "object", "properties": {"error": _TEXT}}}}


def management_document() -> Json:
    """Return this API's share of the document: its `paths` and the `schemas` that they refer to."""
    return {"paths": management_paths(), "schemas": management_schemas()}


def management_paths() -> Json:
    """Return the operations of all resources by path."""
    paths = _tagged("roots", {path: {"get": _root()} for path in ROOTS})
    for resource in RESOURCES:
        for path in (resource.path, *resource.aliases):
            made = _command(resource, path) if resource.is_command else _resource(resource)
            paths |= _tagged(f"{resource.namespace}/{resource.name}", made)
    return paths


def _tagged(tag: str, paths: Json) -> Json:
    """Put operations into a group."""
    for item in paths.values():
        for method in item.keys() - {"parameters"}:
            item[method]["tags"] = [tag]
    return paths


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


def _root() -> Json:
    entry = {
        "type": "object",
        "properties": {"list_endpoint": _TEXT, "schema": _TEXT},
        "required": ["list_endpoint", "schema"],
    }
    return _operation(
        "What there is below this path",
        READER,
        {200: _json({"type": "object", "additionalProperties": entry})},
    )


def _command(resource: Resource, path: str) -> Json:
    done = {"type": "object", "properties": {"status": {"const": "success"}, "data": {"type": "null"}}}
    answers = {202: _json(done), 400: _REFUSED, **_BODY_ANSWERS}
    operation = _operation(resource.title, WRITER, answers, help_text=resource.help)
    return {
        path: {"post": operation | _body(_reference(resource, "new"))},
        f"{resource.path}schema/": {"get": _schema_operation(resource)},
    }


def _resource(resource: Resource) -> Json:
    one = f"{resource.path}{{id}}/"
    paths: Json = {
        resource.path: {
            str(method): _OF_LIST[method](resource)
            for method in (Method.GET, Method.POST, Method.PATCH, Method.DELETE)
            if method in resource.list_methods
        },
        one: {
            str(method): _of_one(resource, method)
            for method in (Method.GET, Method.PUT, Method.PATCH, Method.DELETE)
            if method in resource.detail_methods
        },
        f"{resource.path}set/{{ids}}/": {"get": _set(resource)},
        f"{resource.path}schema/": {"get": _schema_operation(resource)},
    }
    paths[one]["parameters"] = [_path("id", {"type": "integer", "minimum": 1}, "The object's id.")]
    if resource is WORKER_STATUS:
        paths |= {f"{one}statistics/": {"get": _statistics(), "parameters": paths[one]["parameters"]}}
    return paths


def _statistics() -> Json:
    envelope = {
        "type": "object",
        "properties": {"meta": {"type": "object"}, "objects": {"type": "array", "maxItems": 0}},
        "required": ["meta", "objects"],
    }
    answers = {200: _json(envelope), 400: _REFUSED, 404: _MISSING}
    return _operation("Measured on a node: nothing", READER, answers)


def _list(resource: Resource) -> Json:
    parameters = [
        _query("limit", {"type": "integer", "minimum": 0}, _LIMIT_HELP),
        _query("offset", {"type": "integer", "minimum": 0}, "How many to skip."),
        _query("format", {"const": "json"}, "Accepted, and changes nothing."),
        *_filters(resource),
    ]
    if resource.ordering:
        orders = [f"{sign}{name}" for name in resource.ordering for sign in ("", "-")]
        schema = {"type": "array", "items": {"enum": orders}}
        parameters.append(
            _query("order_by", schema, "What to order by; with - before it the other way round.")
        )
    meta = {
        "type": "object",
        "properties": {
            **{name: {"type": "integer"} for name in ("limit", "offset", "total_count")},
            **{name: {"type": ["string", "null"]} for name in ("next", "previous")},
        },
        "required": ["limit", "next", "offset", "previous", "total_count"],
    }
    envelope = {
        "type": "object",
        "properties": {"meta": meta, "objects": {"type": "array", "items": _reference(resource)}},
        "required": ["meta", "objects"],
    }
    operation = _operation(
        f"List: {resource.title}",
        READER,
        {200: _json(envelope), 400: _REFUSED},
        help_text=resource.help,
    )
    return operation | {"parameters": parameters}


def _create(resource: Resource) -> Json:
    location = {"description": "The path of the new object.", "required": True, "schema": _TEXT}
    made: Json = {"description": "It was made.", "headers": {"Location": location}}
    if resource.shown_once:
        texts = dict.fromkeys(resource.shown_once, _TEXT)
        once: Json = {"type": "object", "properties": texts, "required": list(texts)}
        schema = {"allOf": [_reference(resource), once]} if resource.shown_on_creation else once
        made["content"] = {JSON: {"schema": schema}}
    answers = {201: made, 400: _REFUSED, **_BODY_ANSWERS}
    operation = _operation(f"Make: {resource.title}", WRITER, answers, help_text=resource.help)
    return operation | _body(_reference(resource, "new"))


def _several(resource: Resource) -> Json:
    change = {"allOf": [_reference(resource, "change"), {"properties": {"resource_uri": _TEXT}}]}
    uris = {"type": "array", "items": _TEXT, "maxItems": BULK_MAX}
    body = {
        "type": "object",
        "properties": {
            "objects": {"type": "array", "items": change, "maxItems": BULK_MAX},
            "deleted_objects": uris,
        },
        "required": ["objects"],
    }
    shown = {"type": "array", "items": _reference(resource)}
    done = {
        "type": "object",
        "properties": {"objects": shown, "deleted_objects": uris},
        "required": ["objects", "deleted_objects"],
    }
    answers = {202: _json(done), 400: _REFUSED, 404: _MISSING, **_BODY_ANSWERS}
    summary = f"Change, make or delete several: {resource.title}"
    return _operation(summary, WRITER, answers) | _body(body)


def _delete_several(resource: Resource) -> Json:
    answers = {204: {"description": "All that the filters find are deleted."}, 400: _REFUSED}
    operation = _operation(f"Delete all or those that filters find: {resource.title}", WRITER, answers)
    return operation | {"parameters": _filters(resource)}


_OF_LIST: Final = {
    Method.GET: _list,
    Method.POST: _create,
    Method.PATCH: _several,
    Method.DELETE: _delete_several,
}


def _of_one(resource: Resource, method: Method) -> Json:
    missing = {404: _MISSING}
    match method:
        case Method.GET:
            return _operation(
                f"Show: {resource.title}", READER, {200: _json(_reference(resource)), **missing}
            )
        case Method.DELETE:
            answers = {204: {"description": "It was deleted."}, 400: _REFUSED, **missing}
            return _operation(f"Delete: {resource.title}", WRITER, answers)
        case _:
            # a PUT leaves out what it does not change, as a PATCH does
            status = 204 if method is Method.PUT else 202
            answers = {
                status: {"description": "It was changed."},
                400: _REFUSED,
                **missing,
                **_BODY_ANSWERS,
            }
            operation = _operation(f"Change: {resource.title}", WRITER, answers)
            return operation | _body(_reference(resource, "change"))


def _set(resource: Resource) -> Json:
    found = {
        "type": "object",
        "properties": {
            "objects": {"type": "array", "items": _reference(resource)},
            "not_found": {"type": "array", "items": _TEXT},
        },
        "required": ["objects"],
    }
    operation = _operation(f"Show several: {resource.title}", READER, {200: _json(found), 404: _MISSING})
    ids = _path("ids", {"type": "string", "pattern": r"^\d+(;\d+)*$"}, "Ids, with semicolons between.")
    return operation | {"parameters": [ids]}


def _schema_operation(resource: Resource) -> Json:
    answers = {200: _json({"type": "object", "required": ["fields"]})}
    return _operation(f"Describe: {resource.title}", READER, answers)


def _filters(resource: Resource) -> list[Json]:
    """Return one parameter for each field; the lookups stand in its text, because 17 for each would drown the rest."""
    parameters = []
    for name, lookups in resource.filtering.items():
        others = ", ".join(f"{name}__{each}" for each in lookups if each is not Lookup.EXACT)
        field = resource.by_name[name]
        kind = (
            _TEXT if field.kind in {Kind.RELATED, Kind.LIST, Kind.DATETIME} else {"type": _TYPES[field.kind]}
        )
        parameters.append(_query(name, kind, f"Only those where it is this. Also {others}."))
    return parameters


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
    if field.blanked:
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
        return {"type": "array", "items": dict(_TEXT)}
    if field.kind is Kind.DATETIME:
        return {"type": "string", "pattern": TIME_PATTERN}
    return {"type": _TYPES[field.kind]}


def _operation(summary: str, role: str, answers: Mapping[int, Json], *, help_text: str = "") -> Json:
    return {
        "summary": summary,
        "description": f"{help_text} Needs the role {role}.".strip(),
        "x-role": role,
        "responses": {str(status): each for status, each in sorted({**answers, **_ALWAYS}.items())},
    }


def _json(schema: Json) -> Json:
    return {"description": "It is so.", "content": {JSON: {"schema": schema}}}


def _body(schema: Json) -> Json:
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _path(name: str, schema: Json, help_text: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": help_text}


def _query(name: str, schema: Json, help_text: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": help_text}


def _reference(resource: Resource, part: str = "") -> Json:
    return {"$ref": f"#/components/schemas/{_name(resource, part)}"}


def _name(resource: Resource, part: str = "") -> str:
    words: Sequence[str] = [resource.namespace, resource.name, *([part] if part else [])]
    return "_".join(words)


_LIMIT_HELP: Final = f"How many at most; {DEFAULT_LIMIT} if left out, 0 and {LIMIT_MAX} are the most."
_MISSING: Final[Json] = {
    "description": "There is no such object. The body is empty, unless the id is no number."
}
_BODY_ANSWERS: Final[Mapping[int, Json]] = {
    413: {"description": "The body is too large.", "content": _SAID},
    415: {"description": "The body is not JSON, or is compressed.", "content": _SAID},
}
_ALWAYS: Final[Mapping[int, Json]] = {
    401: {"description": "Sign in. The body is empty."},
    403: {"description": "The role is not enough.", "content": _SAID},
    429: {
        "description": "Too many failed sign-ins of this user from this address; nothing was done. The body is empty."
    },
    503: {"description": "The store failed or is busy; nothing was done.", "content": _SAID},
    507: {"description": "The disk is full; nothing was done.", "content": _SAID},
}
