"""Request bodies, as values that the operations can work with.

Decides what the creation or change of one object, or of several, may contain (the contract's sections 2.1 and
2.3). A change leaves omitted fields as they are, by PUT as well as by PATCH. A null is ignored where null is
not a value. Answers may be written back: an object that was made elsewhere may hold values that could not be
given here. Read-only fields are ignored, and so are unknown ones unless the resource keeps them. Others check
that related objects exist. Invariant: either the whole body was understood, or every finding is raised and
none quotes a secret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from manager.infinity_api.contract.description import Field, Resource, Value, Values
from manager.infinity_api.contract.errors import WHOLE, InvalidRequestError, ValuesError
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.more import read_more
from manager.infinity_api.contract.values import (
    WrongValueError,
    quote,
    read_reference,
    read_value,
    write_value,
)

BULK_MAX: Final = 1000
"""How many objects one request may change and delete."""
_NOTHING: Final[Row] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One of several changes; `object_id` is None for a new object."""

    object_id: int | None
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """A change of several objects, in this order; `deleted` are ids."""

    changes: Sequence[Change]
    deleted: Sequence[int]


def missing_text(field: Field) -> str:
    """Return the message for a missing required field."""
    return f"The '{field.name}' field has no data and doesn't allow a default or null value."


def read_values(resource: Resource, body: object, *, whole: bool, before: Row = _NOTHING) -> Values:
    """Return the values of a body: with `whole`, of every field that can be set, else only of the given ones.

    `before` is the row of the object to change: a value that a field does not accept is ignored if answers
    show it.

    Raises InvalidRequestError if the body is not an object or only lacks fields, ValuesError with every
    finding otherwise.
    """
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    values: Values = {}
    missing: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for field in resource.writable:
        if field.name not in body or field.is_absent(body[field.name]):
            if whole and field.is_required:
                missing[field.name] = missing_text(field)
            elif whole:
                values[field.name] = field.initial
            continue
        try:
            values[field.name] = read_value(field, body[field.name])
        except WrongValueError as error:
            if not _is_shown(field, body[field.name], before):
                wrong[field.name] = str(error)
    if wrong:
        raise ValuesError(resource.name, {name: [text] for name, text in (missing | wrong).items()})
    if missing:
        raise InvalidRequestError(" ".join(missing.values()))
    return values | read_more(resource, body)


def _is_shown(field: Field, value: object, before: Row) -> bool:
    return not field.is_hidden and field.name in before and value == write_value(field, before[field.name])


def read_bulk(resource: Resource, body: object, rows: Mapping[int, Row]) -> Bulk:
    """Return what a PATCH of a collection with these rows says.

    Raises InvalidRequestError, ValuesError; the text says which object it is.
    """
    if not isinstance(body, dict) or not isinstance(body.get("objects", []), list):
        raise InvalidRequestError("The body must be a JSON object with a list 'objects'.")
    objects, deleted = body.get("objects", []), body.get("deleted_objects", [])
    if "objects" not in body and "deleted_objects" not in body:
        raise InvalidRequestError("Invalid data sent, missing 'objects'.")
    if not isinstance(deleted, list):
        raise InvalidRequestError("'deleted_objects' must be a list of resource URIs.")
    if len(objects) + len(deleted) > BULK_MAX:
        raise InvalidRequestError(f"One request changes and deletes at most {BULK_MAX} objects.")
    changes = [_change(resource, f"objects[{number}]", each, rows) for number, each in enumerate(objects)]
    return Bulk(changes=changes, deleted=[_own_id(resource, each, "deleted_objects") for each in deleted])


def _change(resource: Resource, place: str, body: object, rows: Mapping[int, Row]) -> Change:
    if not isinstance(body, Mapping):
        raise InvalidRequestError(f"{place}: each object must be a JSON object.")
    uri = body.get("resource_uri")
    object_id = None if uri is None or uri == "" else _own_id(resource, uri, place)
    before = _NOTHING if object_id is None else rows.get(object_id, _NOTHING)
    try:
        values = read_values(resource, dict(body), whole=object_id is None, before=before)
        return Change(object_id=object_id, values=values)
    except ValuesError as error:
        findings = {name: [f"{place}: {text}" for text in texts] for name, texts in error.findings.items()}
        raise ValuesError(resource.name, findings) from error
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{place}: {error.message}") from error


def _own_id(resource: Resource, uri: Value, place: str) -> int:
    reference = read_reference(uri) if isinstance(uri, str) else None
    if reference is None or (reference.namespace, reference.group, reference.name) != (
        resource.namespace,
        resource.group,
        resource.name,
    ):
        named = quote(resource.by_name["resource_uri"], uri)
        raise ValuesError(resource.name, {WHOLE: [f"{place}: {named} is not the URI of a {resource.name}."]})
    return reference.id
