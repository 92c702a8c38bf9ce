"""Runs the work of one process of a siege until SIGTERM."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


class _Stopped(Exception):  # noqa: N818 - no error: what ends the group
    pass


async def run_until_stopped(*works: Coroutine[Any, Any, None]) -> None:
    """Run these until SIGTERM. Raises what the first of them that fails raises."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def listen() -> None:
        await over.wait()
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as group:
            for work in (*works, listen()):
                group.create_task(work)
    except* _Stopped:
        pass
