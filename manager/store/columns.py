"""Types of columns that mean the same on every engine."""

from typing import Any, Final

from sqlalchemy import BigInteger, Integer, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

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
