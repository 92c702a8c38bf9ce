"""OpenAPI document of all APIs for programs, made from the routes and descriptions.

Decides how a route is described as an operation. Invariant: a route's inputs and answers are declared only in
its table; nothing is listed here again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final, get_args

import msgspec

from common.api.errors import FailureAnswer
from common.bundle.manifest import Slot
from manager.api.routes import QueryParameter, Route
from manager.domain.assertion import TOKEN_PATH
from manager.http.oauth import ASSERTION_TYPE, FORM, GRANT, AccessToken, OAuthFailure

Json = dict[str, Any]

OPENAPI: Final = "3.1.0"
JSON: Final = "application/json"
_REFERENCES: Final = "#/components/schemas/{name}"
_PARTS: Final[Mapping[str, Json]] = {
    "id": {"type": "integer", "minimum": 0},
    "generation": {"type": "integer", "minimum": 0},
    "name": {"type": "string", "minLength": 1},
    "slot": {"enum": list(get_args(Slot))},
}
_ABOUT: Final = """\
Certcast manages the TLS certificates and trusted CAs of a fleet of nodes. There are two APIs: Certcast's own below \
`/api/certcast/v1/`, and the management API below `/api/admin/` that existing clients of the platform use. Both take HTTP Basic, an \
API token or an access token; each operation says which role it needs: read-only, operator or administrator, each of which may do \
what those before it may. No answer holds a private key."""
_PROVISIONING: Final = (
    ", and either the user's own name and password or a token that was made to obtain join tokens"
)
_PASSWORD: Final = ", and the user's own name and password: no token may do it"  # noqa: S105 - a sentence
_FAILURES: Final[Mapping[int, str]] = {
    400: "Something in the request cannot be accepted; `field` and `findings` say what.",
    401: "Sign in.",
    403: "The role does not allow it, a password is needed instead of a token, or the request comes from another site's page.",
    404: "Not found.",
    409: "It conflicts with what is stored.",
    413: "The body, or something in it, is too large.",
    415: "The body is compressed.",
    429: "Too many failed sign-ins of this user from this address; `Retry-After` says how long to wait.",
    502: "The CA refused or is unreachable; the message quotes it. `Retry-After` says how long it asks to wait.",
    503: "The store failed or is busy; nothing was changed.",
    507: "The disk is full; nothing was changed.",
}


def build_document(routes: Sequence[Route], *, root: str, others: Json) -> Json:
    """Return the document.

    `routes` are below the path `root`; `others` has another API's `paths` and `schemas`.
    """
    kinds = _types(routes)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCES)
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: Json = {}
    for route in routes:
        paths.setdefault(f"{root}/{route.path}", {})[route.method.lower()] = _operation(route, by_kind)
    paths[TOKEN_PATH] = {"post": _token(by_kind)}
    paths |= others["paths"]
    return {
        "openapi": OPENAPI,
        "info": {"title": "Certcast", "version": version("certcast"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in _tags(paths)],
        "security": [{"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components | others["schemas"],
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An API token, or an access token from {TOKEN_PATH}.",
                },
            },
        },
    }


def _tags(paths: Json) -> list[str]:
    """Return the groups in the order of their first operations."""
    operations = [
        operation for item in paths.values() for name, operation in item.items() if name != "parameters"
    ]
    return list(dict.fromkeys(operation["tags"][0] for operation in operations))


def _types(routes: Iterable[Route]) -> list[Any]:
    """Return every type with a schema in a document of these routes, each once."""
    kinds: dict[Any, None] = dict.fromkeys((FailureAnswer, AccessToken, OAuthFailure))
    for route in routes:
        named = (route.body, *route.answers.values(), *(each.kind for each in route.query))
        kinds.update(
            dict.fromkeys(each for each in named if each is not None and not isinstance(each, tuple))
        )
    return list(kinds)


def _schema(query: QueryParameter, by_kind: Mapping[Any, Json]) -> Json:
    schema = by_kind[query.kind]
    return {**schema, "minimum": query.least, "maximum": query.most} if query.kind is int else schema


def _operation(route: Route, by_kind: Mapping[Any, Json]) -> Json:
    parts = re.findall(r"\{(\w+)\}", route.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": _PARTS[name]} for name in parts]
    parameters += [
        {
            "name": each.name,
            "in": "query",
            "required": False,
            "schema": _schema(each, by_kind),
            "description": each.help,
        }
        for each in route.query
    ]
    operation: Json = {
        "operationId": "_".join(re.findall(r"\w+", f"{route.method.lower()} {route.path}")),
        "tags": [_tag(route)],
        "summary": route.summary,
        "description": f"{_first(route)} Needs the role {route.role}{_proof(route)}.",
        "x-role": route.role,
        "responses": {
            **{str(status): _success(answer, by_kind) for status, answer in route.answers.items()},
            **{str(status): _failure(status, by_kind[FailureAnswer]) for status in _failures_of(route)},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {JSON: {"schema": by_kind[route.body]}}
        operation["requestBody"] = {"required": bool(_required(route.body)), "content": content}
    return operation


def _proof(route: Route) -> str:
    if route.needs_password:
        return _PASSWORD
    return _PROVISIONING if route.provisions else ""


def _failures_of(route: Route) -> list[int]:
    """Return the refusals of a route, which depend on its inputs."""
    is_change, takes_parts = route.method != "GET", "{" in route.path
    says = {
        400: route.body is not None or takes_parts or bool(route.query),
        404: route.body is not None or takes_parts or any(each.must_exist for each in route.query),
        409: is_change,
        413: route.body is not None,
        415: route.body is not None,
        502: route.asks_ca,
    }
    return [status for status in _FAILURES if says.get(status, True)]


def _success(answer: Any, by_kind: Mapping[Any, Json]) -> Json:
    match answer:
        case None:
            return {"description": "Done."}
        case tuple():
            return {"description": "A file or a stream.", "content": {media: {} for media in answer}}
        case _:
            return {"description": "Success.", "content": {JSON: {"schema": by_kind[answer]}}}


def _failure(status: int, schema: Json) -> Json:
    return {"description": _FAILURES[status], "content": {JSON: {"schema": schema}}}


def _token(by_kind: Mapping[Any, Json]) -> Json:
    text = {"type": "string"}
    properties = {
        "grant_type": {"const": GRANT},
        "client_assertion_type": {"const": ASSERTION_TYPE},
        "client_assertion": {**text, "description": "A JSON Web Token, signed with ES256."},
    }
    form = {"type": "object", "properties": properties, "required": list(properties)}
    refused = {JSON: {"schema": by_kind[OAuthFailure]}}
    why = {
        status: text for status, text in _FAILURES.items() if status in {400, 403, 413, 415, 429, 503, 507}
    }
    why[401] = "The assertion is not valid."
    return {
        "operationId": "post_oauth_token",
        "tags": ["oauth"],
        "summary": "Get an access token for a signed assertion",
        "description": "OAuth 2.0 client credentials with a private-key JWT (RFC 7523). Needs no role.",
        "security": [],
        "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
        "responses": {
            "200": {"description": "Success.", "content": {JSON: {"schema": by_kind[AccessToken]}}},
            **{
                str(status): {"description": said, "content": refused} for status, said in sorted(why.items())
            },
        },
    }


def _required(kind: type[Any]) -> list[str]:
    return [each.name for each in msgspec.structs.fields(kind) if each.required]


def _tag(route: Route) -> str:
    return route.path.partition("/")[0]


def _first(route: Route) -> str:
    """Return the first line of the handler's docstring: it is public text, and a test holds that it exists."""
    return (route.handler.__doc__ or "").strip().partition("\n")[0]
