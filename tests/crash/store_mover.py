"""A process that copies a store from one engine to the other, and kills itself on the way.

`to` is "postgresql" or "sqlite"; one that does not come to its point ends as if there were none.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Final
from unittest import mock

from common.runtime import durable
from manager.copies import move
from manager.store.address import ServerAddress
from manager.store.audit import Audit
from manager.store.copying import CopyProgress
from manager.store.place import DATABASE_FILE, StorePlace

POINTS: Final = ("begun", "copied", "compared", "verified", "publishing", "published")


def die(*_args: object, **_given: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(point: str) -> None:
    """Let this process be killed when it comes there."""
    match point:
        case "verified":
            verify = Audit.verify

            async def verify_and_die(*args: Any, **given: Any) -> None:
                await verify(*args, **given)
                die()

            mock.patch.object(Audit, "verify", verify_and_die).start()
        case "publishing":
            mock.patch.object(durable, "publish", die).start()
        case "published":
            remove = durable.remove_tree

            def remove_or_die(path: Path) -> None:
                if path.with_name(DATABASE_FILE).exists():
                    die()
                remove(path)

            mock.patch.object(durable, "remove_tree", remove_or_die).start()


async def main(directory: Path, url: str, to: str, point: str) -> None:
    def report(progress: CopyProgress) -> None:
        if point == "begun" and progress.step == "copied":
            die()
        if point == progress.step and progress.done > progress.total // 2:
            die()

    file, server = StorePlace(directory, None), StorePlace(directory, ServerAddress.parse(url))
    crash_at(point)
    source, target = (file, server) if to == "postgresql" else (server, file)
    await move(source, target, report)


def run(directory: Path, url: str, to: str, point: str) -> None:
    """Do so in a process of its own."""
    os.environ.pop("CREDENTIALS_DIRECTORY", None)
    asyncio.run(main(directory, url, to, point))
