"""The management API's share of the OpenAPI document; everything in it comes from the descriptions.

Decides how a description reads as operations; `manager.infinity_api.contract.schemas` has their schemas.
"""

from collections.abc import Mapping
from typing import Final

from manager.infinity_api.contract.bodies import BULK_MAX
from manager.infinity_api.contract.description import FilterComparison, Kind, Method, Resource
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from manager.infinity_api.contract.query import DEFAULT_LIMIT, LIMIT_MAX
from manager.infinity_api.contract.resources.status import WORKER_STATUS
from manager.infinity_api.contract.schemas import TEXT, TYPES, Json, management_schemas, reference

JSON: Final = "application/json"
READER: Final = "read-only"
WRITER: Final = "administrator"

_REFUSED: Final[Json] = {
    "description": "The request cannot be carried out as it is.",
    "content": {
        JSON: {
            "schema": {
                "anyOf": [
                    {"type": "object", "properties": {"error": TEXT}, "required": ["error"]},
                    {
                        "type": "object",
                        "description": "Everything that is wrong, by field of the resource.",
                        "additionalProperties": {
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": TEXT},
                        },
                    },
                ]
            }
        }
    },
}
_ERROR_BODY: Final[Json] = {JSON: {"schema": {"type": "object", "properties": {"error": TEXT}}}}


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


def _root() -> Json:
    entry = {
        "type": "object",
        "properties": {"list_endpoint": TEXT, "schema": TEXT},
        "required": ["list_endpoint", "schema"],
    }
    return _operation(
        "The resources below this path",
        READER,
        {200: _json({"type": "object", "additionalProperties": entry})},
    )


def _command(resource: Resource, path: str) -> Json:
    done = {"type": "object", "properties": {"status": {"const": "success"}, "data": {"type": "null"}}}
    answers = {202: _json(done), 400: _REFUSED, **_BODY_ANSWERS}
    operation = _operation(resource.title, WRITER, answers, help_text=resource.help)
    return {
        path: {"post": operation | _body(reference(resource, "new"))},
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
        parameters.append(_query("order_by", schema, "What to order by; a leading - reverses the order."))
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
        "properties": {"meta": meta, "objects": {"type": "array", "items": reference(resource)}},
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
    location = {"description": "The path of the new object.", "required": True, "schema": TEXT}
    made: Json = {"description": "It was created.", "headers": {"Location": location}}
    if resource.shown_once:
        texts = dict.fromkeys(resource.shown_once, TEXT)
        once: Json = {"type": "object", "properties": texts, "required": list(texts)}
        schema = {"allOf": [reference(resource), once]} if resource.shown_on_creation else once
        made["content"] = {JSON: {"schema": schema}}
    answers = {201: made, 400: _REFUSED, **_BODY_ANSWERS}
    operation = _operation(f"Make: {resource.title}", WRITER, answers, help_text=resource.help)
    return operation | _body(reference(resource, "new"))


def _several(resource: Resource) -> Json:
    change = {"allOf": [reference(resource, "change"), {"properties": {"resource_uri": TEXT}}]}
    uris = {"type": "array", "items": TEXT, "maxItems": BULK_MAX}
    body = {
        "type": "object",
        "properties": {
            "objects": {"type": "array", "items": change, "maxItems": BULK_MAX},
            "deleted_objects": uris,
        },
        "required": ["objects"],
    }
    shown = {"type": "array", "items": reference(resource)}
    done = {
        "type": "object",
        "properties": {"objects": shown, "deleted_objects": uris},
        "required": ["objects", "deleted_objects"],
    }
    answers = {202: _json(done), 400: _REFUSED, 404: _MISSING, **_BODY_ANSWERS}
    summary = f"Change, create or delete several: {resource.title}"
    return _operation(summary, WRITER, answers) | _body(body)


def _delete_several(resource: Resource) -> Json:
    answers = {204: {"description": "Everything that the filters match is deleted."}, 400: _REFUSED}
    operation = _operation(f"Delete all, or those that the filters match: {resource.title}", WRITER, answers)
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
            return _operation(f"Show: {resource.title}", READER, {200: _json(reference(resource)), **missing})
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
            return operation | _body(reference(resource, "change"))


def _set(resource: Resource) -> Json:
    found = {
        "type": "object",
        "properties": {
            "objects": {"type": "array", "items": reference(resource)},
            "not_found": {"type": "array", "items": TEXT},
        },
        "required": ["objects"],
    }
    operation = _operation(f"Show several: {resource.title}", READER, {200: _json(found), 404: _MISSING})
    ids = _path("ids", {"type": "string", "pattern": r"^\d+(;\d+)*$"}, "Ids, separated by semicolons.")
    return operation | {"parameters": [ids]}


def _schema_operation(resource: Resource) -> Json:
    answers = {200: _json({"type": "object", "required": ["fields"]})}
    return _operation(f"Describe: {resource.title}", READER, answers)


def _filters(resource: Resource) -> list[Json]:
    """Return one parameter for each field; the lookups stand in its text, because 17 for each would drown the rest."""
    parameters = []
    for name, lookups in resource.filtering.items():
        others = ", ".join(f"{name}__{each}" for each in lookups if each is not FilterComparison.EXACT)
        field = resource.by_name[name]
        kind = TEXT if field.kind in {Kind.RELATED, Kind.LIST, Kind.DATETIME} else {"type": TYPES[field.kind]}
        parameters.append(_query(name, kind, f"Only those with this value. Also {others}."))
    return parameters


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


_LIMIT_HELP: Final = f"How many at most; {DEFAULT_LIMIT} if left out, 0 means {LIMIT_MAX}, which is the most."
_MISSING: Final[Json] = {
    "description": "There is no such object. The body is empty, unless the id is no number."
}
_BODY_ANSWERS: Final[Mapping[int, Json]] = {
    413: {"description": "The body is too large.", "content": _ERROR_BODY},
    415: {"description": "The body is not JSON, or is compressed.", "content": _ERROR_BODY},
}
_ALWAYS: Final[Mapping[int, Json]] = {
    401: {"description": "Sign in. The body is empty."},
    403: {"description": "The role does not allow it.", "content": _ERROR_BODY},
    429: {
        "description": "Too many failed sign-ins of this user from this address; nothing was done. The body is empty."
    },
    503: {"description": "The store failed or is busy; nothing was done.", "content": _ERROR_BODY},
    507: {"description": "The disk is full; nothing was done.", "content": _ERROR_BODY},
}
