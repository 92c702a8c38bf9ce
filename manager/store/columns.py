"""Types of columns that mean the same on every engine."""

import math
from typing import Any, Final

from sqlalchemy import BigInteger, Float, Integer, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from common.errors import StorageError

UNREADABLE_S: Final = -62_135_596_801
"""The second before the year 1, which no certificate can name: stored for a moment that cannot be read."""

WHOLE: Final = Integer().with_variant(BigInteger(), "postgresql")
"""A whole number; SQLite's INTEGER has 64 bits, and must be called so to give ids once."""

_BY_CODE_POINTS: Final = Text(collation="C")
TEXT: Final = Text().with_variant(_BY_CODE_POINTS, "postgresql")


def short(length: int) -> TypeEngine[str]:
    """Return the type of text that is about this long; nothing is cut or refused that is longer, as SQLite never did."""
    return String(length).with_variant(_BY_CODE_POINTS, "postgresql")


class CertificateTime(TypeDecorator[int]):
    """A moment as a certificate tells it, None where it cannot be read."""

    impl = WHOLE
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int:
        """Return what is stored."""
        return UNREADABLE_S if value is None else value

    def process_result_value(self, value: int | None, dialect: Any) -> int | None:
        """Return what was stored."""
        return None if value == UNREADABLE_S else value


class Moment(TypeDecorator[float]):
    """A moment of ours, which is a number: databases also know infinity and NaN. `place` is its table and column."""

    impl = Float
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: float | None, dialect: Any) -> float | None:
        """Return what is stored. Raises StorageError."""
        return self._checked(value)

    def process_result_value(self, value: float | None, dialect: Any) -> float | None:
        """Return what was stored. Raises StorageError."""
        return self._checked(value)

    def _checked(self, value: float | None) -> float | None:
        if value is None:
            return None
        # SQLite keeps octets in a column of numbers, too
        is_number = isinstance(value, int | float)
        if is_number and math.isfinite(value):
            return value
        shown = f"{value:g}" if is_number else type(value).__name__
        raise StorageError(
            f"a time in the store is none (in the column {self.place}: {shown}); correct it in the database, or restore a backup"
        )
