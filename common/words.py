"""Counted nouns: a number and its noun agree, in every text that people read.

Pure. Invariant: one is never "1 days".
"""


def counted(count: float, one: str, many: str = "") -> str:
    """Return a whole number with its noun: `1 day`, `3 days`, `1,200 nodes`. What is not whole is rounded."""
    whole = round(count)
    return f"{whole:,} {one if abs(whole) == 1 else many or one + 's'}"
