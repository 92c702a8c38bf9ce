"""A process that lets this machine join another manager, and kills itself before or after one of the steps that leave something behind.

`point` counts these steps; one that does not come to its point ends as if there were none.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

from common.runtime import durable
from manager import join_cluster as joining
from manager.channel.clustering import decode_token
from manager.join_cluster import join_cluster
from manager.settings import Settings

STEPS: Final = ("make_dir", "write_file", "publish", "remove_tree")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Dies at a point; each step is two, before it and after it."""

    def __init__(self, point: int) -> None:
        self.left = point

    def come(self) -> None:
        if self.left == 0:
            die()
        self.left -= 1

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **given: Any) -> Any:
            self.come()
            done = step(*args, **given)
            self.come()
            return done

        return stepped

    def around_asking(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(*args: Any, **given: Any) -> Any:
            self.come()
            reply = await ask(*args, **given)
            self.come()
            return reply

        return asked


def run(data: Path, token: str, database: str, point: int) -> None:
    """Join, in a process of its own. `database` is "" where the address is to be told."""
    os.environ.pop("CREDENTIALS_DIRECTORY", None)
    countdown = Countdown(point)
    for name in STEPS:
        mock.patch.object(durable, name, countdown.around(getattr(durable, name))).start()
    mock.patch.object(joining, "ask", countdown.around_asking(joining.ask)).start()
    settings = Settings.load(data=data, **({"database": database} if database else {}))
    names, addresses = ["m2.example"], ["192.0.2.2"]
    asyncio.run(join_cluster(settings, decode_token(token), names=names, addresses=addresses))
