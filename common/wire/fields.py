"""Field types of the messages: each string and number with its limits, and what a number counts.

Invariant: every string from the network has a ceiling, and every number is one that JSON, a calendar and SQL can hold.
"""

from typing import Annotated, Final

from msgspec import Meta

TEXT_MAX_CHARS: Final = 512
PART_TEXT_MAX_CHARS: Final = 120
"""Lets three refused parts fit into a report that is otherwise full."""

Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARS)]
PartText = Annotated[str, Meta(max_length=PART_TEXT_MAX_CHARS)]
Name = Annotated[str, Meta(max_length=128)]
Hex = Annotated[str, Meta(max_length=64, pattern=r"^[0-9a-f]*\Z")]
ReasonText = Annotated[str, Meta(max_length=64, pattern=r"^[a-z0-9_]*\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]

Moment = Annotated[float, Meta(ge=0, le=2**40)]
"""Unix seconds. The limits exclude NaN and infinity, which would pass into every answer."""
Duration = Annotated[float, Meta(ge=0, le=2**31)]
Calendar = Annotated[int, Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Unix seconds of the years 1 to 9999: the range of X.509 (RFC 5280 4.1.2.5) and of a calendar."""


def clip(text: str, limit: int = TEXT_MAX_CHARS) -> str:
    """Cut a message for people to the field's limit."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
