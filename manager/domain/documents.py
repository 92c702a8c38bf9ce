"""Documents: small resources of clients of the existing API, which are kept and given back as they came."""

from typing import Any

from common.errors import ConflictError

Body = dict[str, Any]


class TakenError(ConflictError):
    """Another document of the kind has the value of a unique field; `field` is its name."""

    def __init__(self, kind: str, field: str) -> None:
        super().__init__(f"a {kind} with this {field} already exists")
        self.kind = kind
        self.field = field

    def __reduce__(self) -> tuple[type["TakenError"], tuple[str, str]]:
        """Let the error be copied with its data."""
        return type(self), (self.kind, self.field)
