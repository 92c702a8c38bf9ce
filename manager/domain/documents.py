"""Documents: small resources of clients of the existing API, which are kept and given back as they came."""

from collections.abc import Collection, Sequence
from typing import Any

from common.errors import ConflictError

Body = dict[str, Any]

Unique = Collection[Sequence[str]]
"""Groups of fields in which no two documents of a kind have the same values."""


class TakenError(ConflictError):
    """Another document of the kind has the same values in these `fields`, which no two may share."""

    def __init__(self, kind: str, fields: Sequence[str]) -> None:
        super().__init__(f"a {kind} with this {' and '.join(fields)} already exists")
        self.kind = kind
        self.fields = tuple(fields)

    def __reduce__(self) -> tuple[type["TakenError"], tuple[str, tuple[str, ...]]]:
        """Let the error be copied with its data."""
        return type(self), (self.kind, self.fields)
