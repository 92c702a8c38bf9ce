"""Work done where it is asked for, or in a thread."""

import asyncio
from functools import partial
from typing import Any

from manager.pki.write.selfsigned import make_temporary


class InPlace:
    """Does a worker's work at once; keys for temporary certificates are small, so that a test takes no seconds."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def run(self, timeout_s: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(function.__name__)
        return _with_small_keys(function)(*args, **kwargs)


class InThread:
    """Does a worker's work beside the loop, as workers do."""

    async def run(self, timeout_s: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(_with_small_keys(function), *args, **kwargs)


def _with_small_keys(function: Any) -> Any:
    return partial(function, key_bits=2048) if function is make_temporary else function
