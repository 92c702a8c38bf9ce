"""Documents: small resources of the existing API's clients, which are stored and returned unchanged."""

from collections.abc import Collection, Sequence
from typing import Any

from common.errors import ConflictError

Body = dict[str, Any]

Unique = Collection[Sequence[str]]
"""Groups of fields whose combined values are unique among documents of a kind."""


class TakenError(ConflictError):
    """Another document of the kind has the same values in these `fields`, which must be unique."""

    def __init__(self, kind: str, fields: Sequence[str]) -> None:
        super().__init__(f"a {kind} with this {' and '.join(fields)} already exists")
        self.kind = kind
        self.fields = tuple(fields)

    def __reduce__(self) -> tuple[type["TakenError"], tuple[str, tuple[str, ...]]]:
        """Support copying the error with its data."""
        return type(self), (self.kind, self.fields)
