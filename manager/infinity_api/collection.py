"""Collections of a resource's objects, for the handlers.

Each kind of object has its own class in another module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.filters import Row

Rows = Mapping[int, Row]

T = TypeVar("T")


class MadeRows(Mapping[int, Row], Generic[T]):
    """Rows made on access and not kept, so that a list of thousands is never whole in memory."""

    def __init__(self, sources: Mapping[int, T], make: Callable[[T], Row]) -> None:
        self._sources = sources
        self._make = make

    def __getitem__(self, number: int) -> Row:
        return self._make(self._sources[number])

    def __contains__(self, number: object) -> bool:
        return number in self._sources

    def __iter__(self) -> Iterator[int]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


SPARED = "__spared"
"""Holds the reason a row must not be deleted; deleting a list skips such rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new object.

    `document` goes back to the client; it may hold what is shown once. `row` is the object where all of it
    goes back.
    """

    object_id: int
    document: Mapping[str, str] | None = None
    row: Row | None = None


class Collection(Protocol):
    """The objects of a resource.

    A row has held values (`manager.infinity_api.contract.values`), at least those that filters use.
    """

    @property
    def resource(self) -> Resource: ...

    async def rows(self) -> Rows:
        """Return all by id, in the order of ids. They are not to be changed."""

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these with every value that is shown; an object that was deleted in the meantime is left out."""


class Writable(Collection, Protocol):
    """Objects that can be changed.

    `values` were checked against the description, and related objects exist.
    """

    async def create(self, values: Values, *, actor: str) -> Made:
        """Make an object of these values, which are all that can be set."""

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Set these values of an object, and leave the others."""

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete all of these or none."""
