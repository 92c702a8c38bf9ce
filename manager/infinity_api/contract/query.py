"""List queries: filters, order and page, and which rows answer.

Decides order and page, and how many parameters are accepted (the contract's section 2.2). Leaves conditions
to `manager.infinity_api.contract.filters`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from manager.domain.listing import Sort, page_from, sort_rows
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.errors import InvalidRequestError
from manager.infinity_api.contract.filters import (
    Filter,
    Parameters,
    Row,
    check_cost,
    read_count,
    read_filters,
)
from manager.infinity_api.contract.values import (
    INTEGER_MAX,
)

DEFAULT_LIMIT: Final = 20
LIMIT_MAX: Final = 10_000
"""A page is at most this long; 0 asks for it. Clients are known to ask for 9,999."""

OFFSET_MAX: Final = INTEGER_MAX
PARAMETERS_MAX: Final = 200
ORDERS_MAX: Final = 8
"""Each costs a sort of all rows; the known clients ask for one order at most."""

SHORT: Final = 200
"""A page of up to so many objects is short, unless patterns find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One key to sort by."""

    key: str
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A list query. `parameters` are unchanged, for the addresses of other pages."""

    filters: Sequence[Filter]
    orders: Sequence[SortKey]
    limit: int
    offset: int
    parameters: Parameters

    @property
    def is_long(self) -> bool:
        """Whether the answer may take long: a long page, or patterns."""
        return self.limit > SHORT or any(each.pattern is not None for each in self.filters)


def read_query(resource: Resource, parameters: Parameters) -> Query:
    """Parse a query. Raises InvalidRequestError."""
    if len(parameters) > PARAMETERS_MAX:
        raise InvalidRequestError(f"A request has at most {PARAMETERS_MAX} parameters.")
    return Query(
        filters=read_filters(resource, parameters),
        orders=_orders(resource, parameters),
        limit=_limit(parameters),
        offset=_offset(parameters),
        parameters=parameters,
    )


def select(query: Query, rows: Mapping[int, Row]) -> Sequence[int]:
    """Return the ids of the rows that a query finds, in its order; equal ones stay in theirs.

    A row may be made each time it is looked at, and none is kept. Raises InvalidRequestError for a costly
    pattern.
    """
    found = list(rows)
    # plain conditions first, all in one look: they cost little, and leave fewer rows to patterns
    plain = [each for each in query.filters if each.pattern is None]
    if plain:
        found = [number for number in found if _meets(plain, rows[number])]
    for condition in query.filters:
        if condition.pattern is not None:
            check_cost(condition, (rows[number] for number in found))
            found = [number for number in found if _meets((condition,), rows[number])]
    sorts = [Sort(_sort_key(order.key, rows), order.descending) for order in query.orders]
    return sort_rows(found, sorts)


def _meets(conditions: Sequence[Filter], row: Row) -> bool:
    return all(each.test(row.get(each.key)) for each in conditions)


def page(query: Query, found: Sequence[int]) -> Sequence[int]:
    """Return the ids of a query's page."""
    return page_from(found, offset=query.offset, limit=query.limit).entries


def envelope(resource: Resource, query: Query, *, total: int, objects: Sequence[object]) -> dict[str, object]:
    """Return a list's answer.

    Addresses of other pages begin with a slash and keep all filters; null where there is none.
    """
    after, before = query.offset + query.limit, query.offset - query.limit
    return {
        "meta": {
            "limit": query.limit,
            "next": _address(resource, query, after) if after < total else None,
            "offset": query.offset,
            "previous": _address(resource, query, before) if before >= 0 else None,
            "total_count": total,
        },
        "objects": objects,
    }


def _address(resource: Resource, query: Query, offset: int) -> str:
    kept = [(name, text) for name, text in query.parameters if name not in {"limit", "offset"}]
    return f"{resource.path}?{urlencode([*kept, ('limit', query.limit), ('offset', offset)])}"


def _last(parameters: Parameters, name: str) -> str | None:
    found = [text for each, text in parameters if each == name]
    return found[-1] if found else None


def _limit(parameters: Parameters) -> int:
    text = _last(parameters, "limit")
    if text is None:
        return DEFAULT_LIMIT
    limit = read_count(text)
    if limit is None:
        raise InvalidRequestError(f"Invalid limit '{text[:40]}' provided. Please provide a positive integer.")
    if limit < 0:
        raise InvalidRequestError(
            f"Invalid limit '{limit}' provided. Please provide a positive integer >= 0."
        )
    return LIMIT_MAX if limit == 0 else min(limit, LIMIT_MAX)


def _offset(parameters: Parameters) -> int:
    text = _last(parameters, "offset")
    if text is None:
        return 0
    offset = read_count(text)
    if offset is None:
        raise InvalidRequestError(f"Invalid offset '{text[:40]}' provided. Please provide an integer.")
    if offset < 0:
        raise InvalidRequestError(
            f"Invalid offset '{offset}' provided. Please provide a positive integer >= 0."
        )
    return min(offset, OFFSET_MAX)


def _orders(resource: Resource, parameters: Parameters) -> list[SortKey]:
    """Return what to sort by; the framework's older word for it counts where the newer one is not there."""
    for word in ("order_by", "sort_by"):
        found = [_order(resource, text) for name, text in parameters if name == word and text]
        if len(found) > ORDERS_MAX:
            raise InvalidRequestError(f"A list is ordered by at most {ORDERS_MAX} fields.")
        if found:
            return found
    return []


def _order(resource: Resource, text: str) -> SortKey:
    name, descending = text.removeprefix("-"), text.startswith("-")
    field, _, sub = name.partition("__")
    known = resource.by_name.get(field)
    if known is None or (sub and sub not in known.through):
        raise InvalidRequestError(f"No matching '{name[:80]}' field for ordering on.")
    if not (known.orderable or sub):
        raise InvalidRequestError(f"The '{field}' field does not allow ordering.")
    return SortKey(key=name, descending=descending)


def _sort_key(key: str, rows: Mapping[int, Row]) -> Callable[[int], Any]:
    def of(number: int) -> Any:
        value = rows[number].get(key)
        return (value is not None, value)

    return of
