"""How a process of a siege runs: everything at once until it is told to end by SIGTERM."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


class _Told(Exception):  # noqa: N818 - no error: what ends the group
    pass


async def until_told(*works: Coroutine[Any, Any, None]) -> None:
    """Run these until SIGTERM. Raises what the first of them that fails raises."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def listen() -> None:
        await over.wait()
        raise _Told

    try:
        async with asyncio.TaskGroup() as group:
            for work in (*works, listen()):
                group.create_task(work)
    except* _Told:
        pass
