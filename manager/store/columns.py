"""Column types that mean the same on every engine."""

import math
from typing import Any, Final

from sqlalchemy import BigInteger, Float, Integer, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from common.errors import StorageError

UNREADABLE_S: Final = -62_135_596_801
"""The second before the year 1, which no certificate can name. It stands for a time that cannot be read."""

WHOLE: Final = Integer().with_variant(BigInteger(), "postgresql")
"""A whole number; SQLite's INTEGER has 64 bits, and needs this name so that ids are not reused."""

_BY_CODE_POINTS: Final = Text(collation="C")
TEXT: Final = Text().with_variant(_BY_CODE_POINTS, "postgresql")


def short(length: int) -> TypeEngine[str]:
    """Return the type of texts of about this length.

    Longer ones are neither cut nor refused, as on SQLite.
    """
    return String(length).with_variant(_BY_CODE_POINTS, "postgresql")


class CertificateTime(TypeDecorator[int]):
    """A time in a certificate; None if it cannot be read."""

    impl = WHOLE
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int:
        """Return the stored value."""
        return UNREADABLE_S if value is None else value

    def process_result_value(self, value: int | None, dialect: Any) -> int | None:
        """Return the time that was stored."""
        return None if value == UNREADABLE_S else value


class Moment(TypeDecorator[float]):
    """A time that we recorded, always a finite number; databases also have infinity and NaN.

    `place` is its table and column.
    """

    impl = Float
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: float | None, dialect: Any) -> float | None:
        """Return the stored value. Raises StorageError."""
        return self._checked(value)

    def process_result_value(self, value: float | None, dialect: Any) -> float | None:
        """Return the time that was stored. Raises StorageError."""
        return self._checked(value)

    def _checked(self, value: float | None) -> float | None:
        if value is None:
            return None
        # SQLite accepts octets in a column of numbers, too
        is_number = isinstance(value, int | float)
        if is_number and math.isfinite(value):
            return value
        shown = f"{value:g}" if is_number else type(value).__name__
        raise StorageError(
            f"a time in the store is none (in the column {self.place}: {shown}); correct it in the database, or restore a backup"
        )
