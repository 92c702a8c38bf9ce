"""Schema violations that a JSON decoder finds in a message, in words.

Decides the sentence and the field for each kind of finding of msgspec. Values that were sent are not repeated: they may be secret.
Invariant: never raises; a finding that is not known here still names its field.
"""

import re
from typing import Final

import msgspec

_PLACE: Final = re.compile(r" - at `([^`]*)`$")
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_BOUND: Final = re.compile(r"Expected `(\w+)`(?: of length)? (<=|>=) (-?\d+)$")
_ENUM: Final = re.compile(r"Invalid enum value|Invalid value")
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec's decoders raise at what somebody sent: of another shape, no text, or nested without end."""


def finding_in(error: Exception) -> tuple[str, str]:
    """Return the field that a decoder's error is about ("nodes[0].name", "" if it is the whole), and what is wrong with it."""
    text = str(error)
    found = _PLACE.search(text)
    place = found[1].removeprefix("$").removeprefix(".") if found else ""
    problem = text[: found.start()] if found else text
    if missing := _MISSING.match(problem):
        return _within(place, missing[1]), "is missing"
    if unknown := _UNKNOWN.match(problem):
        return _within(place, unknown[1]), "is not a known field"
    if expected := _EXPECTED.match(problem):
        return place, f"must be {_kinds(expected[1])}, not {_kinds(expected[2])}"
    if bound := _BOUND.match(problem):
        return place, _bounded(bound[1], is_most=bound[2] == "<=", bound=int(bound[3]))
    if _ENUM.match(problem):
        return place, "is not one of its possible values"
    return place, problem[:1].lower() + problem[1:]


def finding_text(error: Exception) -> str:
    """Return the same as one text: "nodes[0].name must be a text, not a whole number"."""
    place, problem = finding_in(error)
    return f"{place} {problem}" if place else problem


def _bounded(kind: str, *, is_most: bool, bound: int) -> str:
    if kind in {"int", "float"}:
        return f"must be at {'most' if is_most else 'least'} {bound}"
    unit = {"str": "character", "bytes": "byte"}.get(kind, "entry")
    several = unit.removesuffix("y") + "ies" if unit == "entry" else f"{unit}s"
    return f"must have at {'most' if is_most else 'least'} {bound} {unit if bound == 1 else several}"


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _kinds(text: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in text.split(" | "))
