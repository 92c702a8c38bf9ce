"""Values between JSON and what we hold inside: naive times, references to objects, text that is a number.

Decides what a field accepts (the contract's section 1, and how its framework reads values) and how it is written
(sections 0.1, 2.2 and 4.3). Leaves to others whether a related object exists.
Invariants: a written time has no offset; a secret is never part of a message; what is written for a related object is its URI.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from manager.infinity_api.contract.description import (
    Field,
    Kind,
    Namespace,
    RelatedType,
    Resource,
    Value,
    root_path,
)
from manager.infinity_api.contract.more import DEPTH_MAX, is_deep, without_secrets

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
INTEGER_MAX: Final = 2**63 - 1
"""What both databases hold."""
QUOTED_MAX: Final = 64

_TIME: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    # A plus sign that a client did not escape arrives as a space.
    r"(?:(?P<utc>[Zz])|(?P<sign>[-+ ])(?P<off_hours>\d\d):?(?P<off_minutes>\d\d))?)?",
    re.ASCII,
)
_URI: Final = re.compile(
    # Absolute or relative, with the doubled slash that one client sends, and with or without the last slash.
    r"(?:https?://[^/?#\s]+)?//?api/admin/(?P<namespace>configuration|status|history|command)/v1/"
    r"(?:(?P<group>[a-z0-9_]+)/)?(?P<name>[a-z0-9_]+)/(?P<id>\d{1,18})/?",
    re.ASCII,
)
_KEY: Final = re.compile(r"(SharedAccessKey|SharedAccessSignature|AccountKey)\s*=[^;]*", re.IGNORECASE)
"""What is secret in a connection string."""
_INTEGER: Final = re.compile(r"\s*[-+]?\d{1,30}\s*", re.ASCII)
_FLOAT: Final = re.compile(
    r"\s*[-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,3})?\s*", re.ASCII
)
_TRUTH: Final[Mapping[str, bool]] = MappingProxyType(
    {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
)


class WrongValueError(ValueError):
    """A value that the field does not take; the text is for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the URI of an object says."""

    namespace: Namespace
    group: str
    name: str
    id: int


def write_time(time_s: float, *, precise: bool = False) -> str:
    """Return a time as the contract's clients read it: naive, in UTC, with a fraction if it has one or is to be `precise`.

    Times outside the years 1 to 9999 are written as the nearest one that has a form.
    """
    try:
        moment = EPOCH + timedelta(seconds=time_s)
    except (OverflowError, ValueError):
        moment = LAST if time_s > 0 else FIRST
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds" if precise else "auto")


def read_time(text: str) -> int | float:
    """Return unix seconds for an ISO time; without an offset it is UTC. Raises WrongValueError if it is not a time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise WrongValueError("the value is not a valid date and time (YYYY-MM-DDTHH:MM:SS, in UTC)")
    part = {name: int(found) if found and found.isdigit() else 0 for name, found in match.groupdict().items()}
    offset_s = (part["off_hours"] * 60 + part["off_minutes"]) * (-60 if match["sign"] == "-" else 60)
    try:
        moment = datetime(
            part["year"], part["month"], part["day"], part["hour"], part["minute"], part["second"], tzinfo=UTC
        )
    except ValueError as error:
        raise WrongValueError(
            "the value has the form of a date and time, and there is no such time"
        ) from error
    whole_s = (moment - EPOCH) // timedelta(seconds=1) - offset_s
    fraction = match["fraction"]
    return (
        whole_s + int(fraction[:6].ljust(6, "0")) / 1_000_000 if fraction and int(fraction[:6]) else whole_s
    )


def read_reference(text: str) -> Reference | None:
    """Return what a URI, relative or absolute, refers to; None if it is not one of ours."""
    match = _URI.fullmatch(text.strip())
    if match is None:
        return None
    return Reference(
        namespace=Namespace(match["namespace"]),
        group=match["group"] or "",
        name=match["name"],
        id=int(match["id"]),
    )


def write_reference(field: Field, object_id: int) -> str:
    """Return the URI of the object that a related field points to."""
    return f"{root_path(field.related_namespace)}{field.related}/{object_id}/"


def quote(field: Field, value: Value) -> str:
    """Return a value for a message: in quotes, and only if it is short, on one line and not secret."""
    if isinstance(value, str) and not field.secret and len(value) <= QUOTED_MAX and value.isprintable():
        return f"'{value}'"
    if isinstance(value, bool | int | float) and not field.secret:
        return f"'{value}'"
    return "the given value"


def read_value(field: Field, value: Value) -> Value:
    """Return what we hold for a JSON value. Raises WrongValueError with a text for the client.

    Null is accepted for a nullable field, and is the empty list for lists; text may be a number or a truth.
    """
    if value is None:
        if field.is_many:
            return []
        if field.nullable:
            return None
        raise WrongValueError("This field cannot be null.")
    if field.choices and value == "" and (field.blank or field.has_default):
        return field.initial
    if field.or_object and isinstance(value, dict):
        return _read_object(field, value)
    held = _READERS[field.kind](field, value)
    _check_limits(field, held)
    return _KEY.sub(r"\1=", held) if field.keyed and isinstance(held, str) else held


def _check_limits(field: Field, held: Value) -> None:
    if isinstance(held, str) and field.max_length is not None and len(held) > field.max_length:
        raise WrongValueError(
            f"Ensure this value has at most {field.max_length} characters (it has {len(held)})."
        )
    if held is not None and field.choices and held not in field.choices:
        raise WrongValueError(f"Value {quote(field, held)} is not a valid choice.")
    if isinstance(held, bool) or not isinstance(held, int | float):
        return
    if field.minimum is not None and held < field.minimum:
        raise WrongValueError(f"Ensure this value is greater than or equal to {field.minimum}.")
    if field.maximum is not None and held > field.maximum:
        raise WrongValueError(f"Ensure this value is less than or equal to {field.maximum}.")


def _read_string(field: Field, value: Value) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise WrongValueError("The value must be a string.")
    # A database refuses it, in the middle of a transaction.
    if "\0" in value:
        raise WrongValueError("Null characters are not allowed.")
    if not value and field.is_required:
        raise WrongValueError("This field cannot be blank.")
    return value


def _read_object(field: Field, value: dict[str, Value]) -> Value:
    if len(msgspec.json.encode(value)) > (field.max_length or 0):
        raise WrongValueError(f"Ensure this value has at most {field.max_length} bytes.")
    if is_deep(value):
        raise WrongValueError(f"Lists and objects can be at most {DEPTH_MAX} inside each other.")
    return without_secrets(value)


def _read_boolean(field: Field, value: Value) -> Value:
    if isinstance(value, bool):
        return value
    truth = _TRUTH.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if truth is None:
        raise WrongValueError(f"{quote(field, value)} value must be either True or False.")
    return truth


def _read_integer(field: Field, value: Value) -> Value:
    number: int | None = None
    if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (
        isinstance(value, float) and value.is_integer()
    ):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None or abs(number) > INTEGER_MAX:
        if value == "" and field.nullable:
            return None
        raise WrongValueError(f"{quote(field, value)} value must be an integer.")
    return number


def _read_float(field: Field, value: Value) -> Value:
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        value = float(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX:
        value = float(value)
    if not isinstance(value, float) or value in {float("inf"), float("-inf")}:
        if value == "" and field.nullable:
            return None
        raise WrongValueError(f"{quote(field, value)} value must be a float.")
    return value


def _read_datetime(field: Field, value: Value) -> Value:
    if value == "" and field.nullable:
        return None
    if not isinstance(value, str):
        raise WrongValueError("The value must be a date and time (YYYY-MM-DDTHH:MM:SS, in UTC).")
    return read_time(value)


def _read_list(field: Field, value: Value) -> Value:
    if not isinstance(value, list):
        raise WrongValueError("The value must be a list.")
    read: list[Value] = []
    for each in value:
        if not isinstance(each, str) or "\0" in each:
            raise WrongValueError("The value must be a list of strings.")
        if field.max_length is not None and len(each) > field.max_length:
            raise WrongValueError(f"Ensure each value has at most {field.max_length} characters.")
        read.append(each)
    return read


def _read_related(field: Field, value: Value) -> Value:
    if field.related_type is RelatedType.TO_ONE:
        # The form that a client shows for "none" and sends back.
        return None if value == "" and field.nullable else read_related_id(field, value)
    if not isinstance(value, list):
        raise WrongValueError("The value must be a list of resource URIs.")
    ids = [read_related_id(field, each) for each in value]
    return list[Value](dict.fromkeys(ids))


def read_related_id(field: Field, value: Value) -> int:
    """Return the id of a related object, given by its URI or by the object as an answer has it."""
    given = value.get("resource_uri") if isinstance(value, dict) else value
    reference = read_reference(given) if isinstance(given, str) else None
    if reference is None:
        raise WrongValueError(
            f"The URL provided {quote(field, given)} was not a link to a valid resource"
            f" (expected {write_reference(field, 0).removesuffix('0/')}<id>/)."
        )
    if (reference.namespace, reference.group, reference.name) != (field.related_namespace, "", field.related):
        raise WrongValueError(f"{quote(field, given)} is not the URI of a {field.related}.")
    return reference.id


_READERS: Final[Mapping[Kind, Callable[[Field, Value], Value]]] = MappingProxyType(
    {
        Kind.STRING: _read_string,
        Kind.BOOLEAN: _read_boolean,
        Kind.INTEGER: _read_integer,
        Kind.FLOAT: _read_float,
        Kind.DATETIME: _read_datetime,
        Kind.RELATED: _read_related,
        Kind.LIST: _read_list,
    }
)


def write_value(field: Field, held: object) -> object:
    """Return the JSON value for what we hold: times as naive text, related objects as URIs (whole objects as they are)."""
    if held is None:
        return [] if field.is_many else None
    if field.kind is Kind.DATETIME and isinstance(held, int | float):
        return write_time(held, precise=field.precise)
    if field.kind is Kind.RELATED:
        if isinstance(held, Sequence) and not isinstance(held, str):
            return [write_reference(field, each) if isinstance(each, int) else each for each in held]
        return write_reference(field, held) if isinstance(held, int) else held
    return list(held) if field.kind is Kind.LIST and isinstance(held, tuple) else held


def write_object(resource: Resource, row: Mapping[str, object]) -> dict[str, object]:
    """Return an object for an answer: every field that is shown, the URI made from the id, nothing that is hidden.

    `row` holds values as `read_value` gives them; what it lacks is written as the field's initial value, so that
    an answer has all fields but those that are left out when null.
    """
    written: dict[str, object] = {}
    object_id = row.get("id")
    for field in resource.shown:
        if field.masked:
            written[field.name] = ""
        elif field.left_out and row.get(field.name) is None:
            continue
        elif field.name == "resource_uri" and isinstance(object_id, int):
            written[field.name] = resource.uri(object_id)
        else:
            # not `get`: what a default costs is paid for each field of each object
            held = row[field.name] if field.name in row else field.initial  # noqa: SIM401
            written[field.name] = write_value(field, held)
    if resource.keeps_more:
        # a name with two underscores is the row's own, for filters
        written |= {
            name: value for name, value in row.items() if name not in resource.by_name and "__" not in name
        }
    return written


def read_path_id(text: str) -> int | None:
    """Return the id in a path; None if it is not a number that an object could have."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
