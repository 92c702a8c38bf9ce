"""Leftovers of a failure: an error for which somebody waited holds the frames that it was raised through, and one of these holds it.

aiohttp gives it to a future that the waiting frame keeps, so all that those frames knew, an answer of 20 MB or half a body, would stay until
somebody collects garbage, which is seldom here (`common.runtime.memory_release`). Invariant: what a request brought or was to get is free
once it is over, however it ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames


@contextmanager
def drop_frames() -> Iterator[None]:
    """Let an error that leaves the block hold nothing of what the functions knew that it came through."""
    try:
        yield
    except BaseException as error:
        # a chain of causes may be a ring
        each: BaseException | None = error
        seen = set[int]()
        while each is not None and id(each) not in seen:
            seen.add(id(each))
            clear_frames(each.__traceback__)
            each = each.__cause__ or each.__context__
        raise
