"""List filters: the conditions that a client sets on fields, and whether a value meets them.

Decides every lookup, how its text is converted, and which are refused (the contract's section 2.2): unknown
fields are ignored; a lookup that a field does not allow is 400. Rows hold values as `values.read_value` gives
them. A related object's field that filters may use is `<field>__<name>` in the row. Invariant: work is
bounded by rows and their text for any pattern, because regular expressions are RE2's, and their cost is
computed before they run.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import re2  # type: ignore[import-untyped] # it has no types

from manager.infinity_api.contract.description import Field, FilterComparison, Kind, Resource
from manager.infinity_api.contract.errors import MISMATCH, InvalidRequestError
from manager.infinity_api.contract.values import (
    INTEGER_MAX,
    WrongValueError,
    read_reference,
    read_value,
    write_value,
)

Row: TypeAlias = Mapping[str, object]
Parameters: TypeAlias = Sequence[tuple[str, str]]
"""Decoded names and values of a query, in their order; a name may come again."""

FILTERS_MAX: Final = 20
"""Each costs a look at every row; the known clients ask for three filters at most."""

PATTERN_MAX: Final = 200
PATTERN_MEMORY_BYTES: Final = 256 * 1024
PATTERN_COST_MAX: Final = 100_000_000
"""Characters looked at times the size of the compiled pattern: the worst case of RE2's slowest engine takes
half a second."""

_TEXTS: Final[Mapping[FilterComparison, Callable[[str, str], bool]]] = MappingProxyType(
    {
        FilterComparison.CONTAINS: lambda text, wanted: wanted in text,
        FilterComparison.STARTSWITH: lambda text, wanted: text.startswith(wanted),
        FilterComparison.ENDSWITH: lambda text, wanted: text.endswith(wanted),
    }
)
_FOLDED: Final[Mapping[FilterComparison, FilterComparison]] = MappingProxyType(
    {
        FilterComparison.ICONTAINS: FilterComparison.CONTAINS,
        FilterComparison.ISTARTSWITH: FilterComparison.STARTSWITH,
        FilterComparison.IENDSWITH: FilterComparison.ENDSWITH,
    }
)
_COMPARISONS: Final[Mapping[FilterComparison, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        FilterComparison.LT: lambda value, wanted: value < wanted,
        FilterComparison.LTE: lambda value, wanted: value <= wanted,
        FilterComparison.GT: lambda value, wanted: value > wanted,
        FilterComparison.GTE: lambda value, wanted: value >= wanted,
    }
)
_NONE: Final = frozenset({"none", "None", "nil", "null"})
_YES: Final = frozenset({"true", "True", "1"})
_NO: Final = frozenset({"false", "False", "0"})

Test: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition.

    `key` is where the row has the value; `pattern` is a compiled regular expression, if it is one.
    """

    key: str
    field: Field
    test: Test
    pattern: Any = None


_NO_FILTERS: Final = frozenset({"limit", "offset", "order_by", "sort_by", "format", "fields"})
"""Parameters of every list, which find nothing by themselves."""

_COUNT: Final = re.compile(r"\s*([+-]?\d{1,30})\s*", re.ASCII)


def read_filters(resource: Resource, parameters: Parameters) -> list[Filter]:
    """Return the conditions of a query. Raises InvalidRequestError."""
    texts: dict[str, list[str]] = {}
    for name, text in parameters:
        texts.setdefault(name, []).append(text)
    found = []
    for name, given in texts.items():
        field_name, _, rest = name.partition("__")
        field = resource.by_name.get(field_name)
        # what is not a field is ignored: clients send a search by name to whatever they list
        if field is not None and field_name != "resource_uri":
            found.append(_filter(field, rest, given))
    if len(found) > FILTERS_MAX:
        raise InvalidRequestError(f"A list is filtered by at most {FILTERS_MAX} conditions.")
    return found


def check_no_stray_filter(resource: Resource, parameters: Parameters) -> None:
    """Refuse to delete by what is not a field.

    Ignored, as in a search, it would leave a filter that finds everything. Raises InvalidRequestError.
    """
    for name, _ in parameters:
        field_name = name.partition("__")[0]
        if name not in _NO_FILTERS and (field_name not in resource.by_name or field_name == "resource_uri"):
            raise InvalidRequestError(
                f"'{name[:40]}' is not a field to filter by, so nothing was deleted. Without a filter, everything is."
            )


def _filter(field: Field, rest: str, texts: Sequence[str]) -> Filter:
    if not field.filtering:
        raise InvalidRequestError(f"The '{field.name}' field does not allow filtering.")
    key, read_as = field.name, field
    first, _, lookup_name = rest.partition("__")
    if first in field.through and first:
        key, read_as = f"{field.name}__{first}", Field(name=key, nullable=True)
    else:
        lookup_name = rest
    if "__" in lookup_name:
        raise InvalidRequestError(
            f"Lookups are not allowed more than one level deep on the '{field.name}' field."
        )
    lookup = next(
        (each for each in FilterComparison if each == (lookup_name or FilterComparison.EXACT)), None
    )
    if lookup is None or lookup not in field.filtering:
        raise InvalidRequestError(
            f"'{lookup_name[:40]}' is not an allowed filter on the '{field.name}' field."
        )
    if lookup in {FilterComparison.REGEX, FilterComparison.IREGEX}:
        pattern = _compile(texts[-1], ignore_case=lookup is FilterComparison.IREGEX)
        return Filter(
            key=key,
            field=read_as,
            test=lambda held: held is not None and pattern.search(_text(read_as, held)) is not None,
            pattern=pattern,
        )
    return Filter(key=key, field=read_as, test=_test(read_as, lookup, texts))


def _test(field: Field, lookup: FilterComparison, texts: Sequence[str]) -> Test:
    last = texts[-1]
    match lookup:
        case FilterComparison.ISNULL:
            if last not in _YES | _NO:
                raise InvalidRequestError(MISMATCH)
            return (lambda held: held is None) if last in _YES else (lambda held: held is not None)
        case FilterComparison.EXACT:
            wanted = _wanted(field, last)
            return lambda held: held == wanted
        case FilterComparison.IEXACT:
            folded = last.casefold()
            return lambda held: held is not None and _text(field, held).casefold() == folded
        case FilterComparison.IN:
            # from a set, or each row would be compared with each value
            options = {_wanted(field, each) for text in texts for each in text.split(",")}
            return lambda held: held is not None and held in options
        case FilterComparison.RANGE:
            bounds = ",".join(texts).split(",")
            if len(bounds) != 2:
                raise InvalidRequestError(MISMATCH)
            low, high = (_compared(field, each) for each in bounds)
            return lambda held: held is not None and low <= held <= high
        case FilterComparison.LT | FilterComparison.LTE | FilterComparison.GT | FilterComparison.GTE:
            compare, bound = _COMPARISONS[lookup], _compared(field, last)
            return lambda held: held is not None and compare(held, bound)
        case _:
            return _text_test(field, lookup, last)


def _text_test(field: Field, lookup: FilterComparison, wanted: str) -> Test:
    plain = _FOLDED.get(lookup)
    if plain is None:
        compare = _TEXTS[lookup]
        return lambda held: held is not None and compare(_text(field, held), wanted)
    compare, folded = _TEXTS[plain], wanted.casefold()
    return lambda held: held is not None and compare(_text(field, held).casefold(), folded)


def _text(field: Field, held: object) -> str:
    """Return a value as text lookups see it."""
    if isinstance(held, str):
        return held
    if field.kind is Kind.RELATED:
        return str(held)
    return str(write_value(field, held))


def _wanted(field: Field, text: str) -> Any:
    """Return the value that a filter's text stands for.

    Raises InvalidRequestError: the framework's text for a mismatch.
    """
    if text in _NONE and (field.nullable or field.kind is not Kind.STRING):
        return None
    if field.kind is Kind.STRING:
        return field.spellings.get(text, text)
    if field.kind is Kind.RELATED:
        return _related(field, text)
    try:
        return read_value(_UNLIMITED[field.kind], text)
    except WrongValueError as error:
        raise InvalidRequestError(MISMATCH) from error


def _compared(field: Field, text: str) -> Any:
    """Return the value that a filter's text stands for, where it must have an order."""
    wanted = _wanted(field, text)
    if wanted is None:
        raise InvalidRequestError(MISMATCH)
    return wanted


def _related(field: Field, text: str) -> int:
    """Return a related object's id, by the number or the URI."""
    reference = read_reference(text)
    number = reference.id if reference is not None and reference.name == field.related else read_count(text)
    if number is None or abs(number) > INTEGER_MAX:
        raise InvalidRequestError(MISMATCH)
    return number


# limits and choices are for what is stored; asking for what cannot be finds nothing
_UNLIMITED: Final[Mapping[Kind, Field]] = MappingProxyType(
    {kind: Field(name="value", kind=kind) for kind in (Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.DATETIME)}
)


def _compile(text: str, *, ignore_case: bool) -> Any:
    """Return a compiled pattern.

    Raises InvalidRequestError: too long, not a pattern, or of a kind that is not bounded.
    """
    if len(text) > PATTERN_MAX:
        raise InvalidRequestError(f"A regular expression has at most {PATTERN_MAX} characters.")
    options = re2.Options()
    options.max_mem, options.log_errors, options.case_sensitive = PATTERN_MEMORY_BYTES, False, not ignore_case
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeError) as error:
        raise InvalidRequestError(
            "The regular expression cannot be used: it is not one, it is too large, or it looks ahead, behind or back."
        ) from error


def check_cost(condition: Filter, rows: Iterable[Row]) -> None:
    """Check that a pattern may be tried on all these rows. Raises InvalidRequestError."""
    values = (row.get(condition.key) for row in rows)
    characters = sum(len(_text(condition.field, held)) + 1 for held in values if held is not None)
    if characters * condition.pattern.programsize > PATTERN_COST_MAX:
        raise InvalidRequestError(
            "The regular expression is too costly for so many objects; repeat less in it, or add another filter."
        )


def read_count(text: str) -> int | None:
    """Return the whole number that a text is."""
    found = _COUNT.fullmatch(text)
    return int(found[1]) if found is not None else None
