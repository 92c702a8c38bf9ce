"""Answers of the management API other than a plain success: their status, headers and body, as values.

Decides which status and which of the two error shapes a refusal has (the contract's sections 2.1 and 2.3).
Invariant: a body is a JSON object or empty, and contains no text from a secret value.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import msgspec

from common.errors import CertcastError, Reason
from manager.infinity_api.contract.description import Method, Resource, Value, order_methods

JSON: Final = "application/json"
WHOLE: Final = "__all__"
MISMATCH: Final = "Invalid resource lookup data provided (mismatched type)."
REALM: Final = "certcast"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a client. `body` is empty, or JSON as bytes; then its Content-Type is JSON."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    chunks: AsyncIterator[bytes] | None = None


class InvalidRequestError(CertcastError):
    """A request that cannot be carried out as it is: 400 and the shape `{"error": text}`."""

    reason = Reason.INVALID

    @property
    def body(self) -> dict[str, Value]:
        """Return the body as JSON values."""
        return {"error": self.message}

    @property
    def answer(self) -> Reply:
        """Return the answer to the client."""
        return Reply(400, msgspec.json.encode(self.body))


class ValuesError(InvalidRequestError):
    """Values that the fields of a resource cannot take: 400 and the shape `{resource: {field: [text, ...]}}`.

    `findings` are all that were found, by field; WHOLE stands for the object itself.
    """

    def __init__(self, resource: str, findings: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in findings.items()))
        self.resource = resource
        self.findings = {name: list(texts) for name, texts in findings.items()}

    def __reduce__(self) -> tuple[type["ValuesError"], tuple[str, dict[str, list[str]]]]:
        """Let the error cross from a worker process with its findings."""
        return type(self), (self.resource, self.findings)

    @property
    def body(self) -> dict[str, Value]:
        """Return the body as JSON values."""
        return {self.resource: {name: list[Value](texts) for name, texts in self.findings.items()}}


def taken(resource: Resource, *fields: str) -> str:
    """Return the message for a value that another object has; clients look for "already exists"."""
    return f"{resource.title} with this {' and '.join(fields)} already exists."


class NoObjectError(CertcastError):
    """No object has the id that a path or a relation names.

    404, with an empty body as the contract's clients expect.
    """

    reason = Reason.NOT_FOUND

    @property
    def answer(self) -> Reply:
        """Return the answer to the client."""
        return NOT_FOUND


def _say(status: int, text: str, **headers: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": text}), headers)


def found(document: object) -> Reply:
    """Return 200 with a document."""
    return Reply(200, msgspec.json.encode(document))


def created(uri: str, document: object = None) -> Reply:
    """Return 201 with the Location of the new object; the body is empty unless a document is given."""
    return Reply(201, b"" if document is None else msgspec.json.encode(document), {"Location": uri})


ACCEPTED: Final = Reply(202)
"""A PATCH of one object was carried out."""
NO_CONTENT: Final = Reply(204)
"""A PUT or a DELETE was carried out."""
COMMAND_DONE: Final = Reply(202, msgspec.json.encode({"status": "success", "data": None}))
"""A command was carried out."""
NOT_FOUND: Final = Reply(404)
"""There is no such object."""
BAD_ID: Final = Reply(
    404,
    msgspec.json.encode(
        {"error_message": "Sorry, this request could not be processed. Please try again later."}
    ),
)
"""The id in a path is not a number."""
INTERNAL: Final = Reply(500, BAD_ID.body)
"""Something unexpected; nothing was done."""
NOT_IMPLEMENTED: Final = Reply(501)
"""A POST to one object."""
UNAUTHENTICATED: Final = Reply(
    401, headers=MappingProxyType({"WWW-Authenticate": f'Basic realm="{REALM}", charset="UTF-8"'})
)
"""Who asks is unknown."""


def forbidden(text: str) -> Reply:
    """Return 403: the caller is known and may not do this."""
    return _say(403, text)


def unsupported_media_type(content_type: str) -> Reply:
    """Return 415 for a body that is not JSON. `content_type` is what the client said."""
    return _say(415, f"The format indicated '{content_type[:100]}' had no available deserialization method.")


def throttled(retry_after_s: int) -> Reply:
    """Return 429 with an empty body. Never for a write that was carried out."""
    return Reply(429, headers={"Retry-After": str(retry_after_s)})


def overloaded(text: str, retry_after_s: int, *, own: bool) -> Reply:
    """Return 429 if the caller asks too much, or 503 if all together do. Nothing was begun."""
    answer = _say(429 if own else 503, text)
    return replace(answer, headers={**answer.headers, "Retry-After": str(retry_after_s)})


def method_not_allowed(methods: Iterable[Method]) -> Reply:
    """Return 405 with what is allowed instead."""
    return Reply(405, headers={"Allow": ", ".join(method.upper() for method in order_methods(methods))})


def options(methods: Iterable[Method]) -> Reply:
    """Return 200 with what is allowed."""
    return Reply(200, headers={"Allow": ", ".join(method.upper() for method in order_methods(methods))})


def check_method(resource: Resource, method: str, *, to_one: bool) -> Reply | None:
    """Return the refusal of a method (in any case) on the collection or on one object.

    None if it is allowed.
    """
    allowed = resource.detail_methods if to_one else resource.list_methods
    wanted = method.lower()
    if wanted in allowed or (wanted == "head" and Method.GET in allowed):
        return None
    if to_one and wanted == Method.POST and Method.POST in resource.list_methods:
        return NOT_IMPLEMENTED
    return method_not_allowed(allowed)
