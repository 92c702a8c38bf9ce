"""API reference over HTTP: the OpenAPI document, and a page of it for people, without scripts.

Decides how an operation is shown on the page. The API's description is not secret, so neither requires a
sign-in.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
import msgspec
from aiohttp import web
from markupsafe import Markup, escape

from manager.api.openapi import Json, build_document
from manager.api.routes import Route
from manager.http.middleware import add_route

STYLE: Final = "docs/style.css"
DOCUMENT: Final = "openapi.json"
PAGE: Final = "docs"
_EXAMPLES: Final[Mapping[str, Any]] = {
    "string": "...",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A parameter or a field of a body."""

    name: str
    kind: str
    place: str
    required: bool
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEntry:
    """An operation as shown on the page."""

    method: str
    path: str
    summary: str
    text: str
    role: str
    values: Sequence[Value]
    answers: Sequence[tuple[str, str, str]]
    curl: str

    @property
    def anchor(self) -> str:
        """The operation's anchor on the page."""
        return f"{self.method.lower()}{self.path}"


def add_reference(
    app: web.Application, routes: Sequence[Route], *, root: str, others: Callable[[], Json]
) -> None:
    """Serve the document, the page and its style sheet below an application mounted at `root`.

    `others` returns another API's part of the document; it is called once, on first use.
    """

    @cache
    def document() -> Json:
        return build_document(routes, root=root, others=others())

    @cache
    def encoded() -> bytes:
        return msgspec.json.encode(document())

    @cache
    def page() -> bytes:
        # once: all readers share the same bytes
        return _render(document(), style=f"{root}/{STYLE}", source=f"{root}/{DOCUMENT}").encode()

    @cache
    def style() -> str:
        return files("manager.api").joinpath("static/reference.css").read_text()

    async def serve_document(_request: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(encoded), content_type="application/json")

    async def serve_page(_request: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(page), content_type="text/html", charset="utf-8")

    async def serve_style(_request: web.Request) -> web.Response:
        return web.Response(text=style(), content_type="text/css")

    add_route(app, "GET", f"/{DOCUMENT}", serve_document)
    add_route(app, "GET", f"/{PAGE}", serve_page)
    add_route(app, "GET", f"/{STYLE}", serve_style)


def groups(document: Json) -> dict[str, list[OperationEntry]]:
    """Return the document's operations by tag, in the order of its tags."""
    found: dict[str, list[OperationEntry]] = {each["name"]: [] for each in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                shown = _shown(document, method.upper(), path, operation, item.get("parameters", []))
                found[operation["tags"][0]].append(shown)
    return found


def _render(document: Json, *, style: str, source: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("manager.api"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _marked
    return environment.get_template("reference.html").render(
        document=document, groups=groups(document), style=style, source=source
    )


def _marked(text: str) -> Markup:
    """Show text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _shown(document: Json, method: str, path: str, operation: Json, common: Sequence[Json]) -> OperationEntry:
    values = [
        Value(
            name=each["name"],
            kind=_kind(each["schema"]),
            place=each["in"],
            required=each["required"],
            help=each.get("description", ""),
        )
        for each in (*common, *operation.get("parameters", []))
    ]
    media, body = _body(operation)
    fields = _resolved(document, body)
    required = fields.get("required", [])
    values += [
        Value(
            name=name,
            kind=_kind(each),
            place="body",
            required=name in required,
            help=each.get("description", ""),
        )
        for name, each in fields.get("properties", {}).items()
    ]
    answers = [
        (
            status,
            each["description"],
            ", ".join(_content(content) for content in each.get("content", {}).items()),
        )
        for status, each in sorted(operation["responses"].items())
    ]
    return OperationEntry(
        method=method,
        path=path,
        summary=operation["summary"],
        text=operation["description"],
        role=operation.get("x-role", ""),
        values=values,
        answers=answers,
        curl=_curl(method, path, media, _example(document, fields)),
    )


def _body(operation: Json) -> tuple[str, Json]:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        return media, content["schema"]
    return "", {}


def _resolved(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _kind(schema: Json) -> str:
    """Describe a schema in a few words."""
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"const": value}:
            return json.dumps(value)
        case {"enum": list(choices)}:
            return " | ".join(json.dumps(each) for each in choices)
        case {"anyOf": list(parts)}:
            return " or ".join(_kind(each) for each in parts)
        case {"allOf": list(parts)}:
            return _kind(parts[0])
        case {"type": "array"}:
            return f"list of {_kind(schema.get('items', {}))}"
        case {"type": list(kinds)}:
            return " or ".join(kinds)
        case {"type": str(kind)}:
            return kind
        case _:
            return "anything"


def _content(content: tuple[str, Json]) -> str:
    media, what = content
    if "schema" not in what:
        return media
    kind = _kind(what["schema"])
    return kind if media == "application/json" else f"{media}: {kind}"


def _example(document: Json, fields: Json) -> Json:
    """Return a body with the required fields."""
    example: Json = {}
    for name in fields.get("required", []):
        schema = _resolved(document, fields["properties"][name])
        if "const" in schema:
            example[name] = schema["const"]
        elif "enum" in schema:
            example[name] = schema["enum"][0]
        else:
            kind = schema.get("type", "string")
            example[name] = _EXAMPLES.get(kind if isinstance(kind, str) else kind[0], "...")
    return example


def _curl(method: str, path: str, media: str, example: Json) -> str:
    url = f"https://MANAGER{path.replace('{', '').replace('}', '')}"
    if media and media != "application/json":
        fields = " ".join(f"--data-urlencode '{name}={value}'" for name, value in example.items())
        return f"curl {fields} {url}"
    login = "curl -u USER"
    return (
        f"{login} {url}"
        if method == "GET"
        else f"{login} -X {method} {url}" + (f" --json '{json.dumps(example)}'" if media else "")
    )
