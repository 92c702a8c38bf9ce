"""Exception frames: an awaited error keeps its frames alive, and one of those frames keeps the error.

aiohttp sets the error on a future that the waiting frame holds. Everything in those frames, such as an answer
of 20 MB or half a body, would stay until a garbage collection, which is rare here
(`common.runtime.memory_release`). Invariant: the data of a request and its answer is freed when the request
is over, however it ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames


@contextmanager
def drop_frames() -> Iterator[None]:
    """Clear the frames of an error that leaves the block."""
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
