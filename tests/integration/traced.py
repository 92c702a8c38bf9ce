"""A real agent under strace, and which paths it changed."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from common.errors import EnrolmentError, Reason
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.enrolment import EnrolReply
from manager.channel.keys import KeyRegistry
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.sources import KnownSources
from nodeagent.channel.identity import Pin, ensure_key, save_pin
from tests.integration.agent_parts import NODE
from tests.integration.conversation_parts import Manager
from tests.patience import PATIENCE_S
from tests.programs import find_program

REPOSITORY: Final = Path(__file__).parents[2]
BY_DESCRIPTOR: Final = ("fchmod", "fchown", "ftruncate", "fsetxattr")
OPENS: Final = ("open", "openat", "openat2")
CHANGES: Final = re.compile(
    r"creat|mkdir|mknod|rmdir|rename|link|unlink|symlink|chmod|chown|truncate|setxattr|utime|futimesat"
)
FOR_WRITING: Final = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
_CALL: Final = re.compile(r"\d+ +(\w+)\((.*)")
_PATH: Final = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR: Final = re.compile(r"\d+<([^>]*)>")


def changed_paths(trace: str) -> Iterator[tuple[str, str]]:
    """Read what strace wrote: each call that opens for writing, creates, renames, links, removes or adorns, and its path.

    A call that failed counts too. strace prints a path where a call begins, so that of a call that another thread's
    interrupted its first half is enough.
    """
    for line in trace.splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        name, arguments = found.groups()
        if name in BY_DESCRIPTOR:
            yield name, _DESCRIPTOR.findall(arguments)[0]
        elif (
            FOR_WRITING.search(arguments)
            if name in OPENS
            else CHANGES.search(name) and not name.startswith("readlink")
        ):
            paths = _PATH.findall(arguments)
            for directory, path in paths[1:] if name.startswith("symlink") else paths:
                yield name, str(Path(directory or REPOSITORY, path))


@asynccontextmanager
async def listening(peer: Manager, data: Path) -> AsyncIterator[None]:
    """Have a manager's listener, and in `data` the identity of a node that has joined there."""
    host_key, directory = load_key(generate_key()), KeyRegistry({})
    directory.pin(NODE, public_line(ensure_key(data)))
    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[host_key],
        keys=directory,
        admit=lambda _key, _address: True,
        accept=lambda _key, transport: peer.accept(transport),
        enrol=_nobody_joins,
        enrol_manager=_nobody_joins,
        sources=KnownSources(),
        limits=Limits(),
    )
    await listener.start()
    address = f"127.0.0.1:{listener.port}"
    save_pin(data, Pin(node=NODE, addresses=[address], host_keys=[public_line(host_key)]))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(listener.run())
        try:
            yield
        finally:
            await listener.close()
            running.cancel()


@asynccontextmanager
async def traced_agent(data: Path, services: Path, trace: Path, *, plant: str = "") -> AsyncIterator[None]:
    """Run the agent under strace. `plant` is Python that runs in it before it starts.

    It finds no compiler: where there is one, asyncssh asks it for a library when it is imported (`ctypes.util.find_library`),
    and that leaves its traces below /tmp. The unit gives the agent a /tmp of its own.
    """
    strace = find_program("strace")
    assert strace is not None
    start = ["-c", f"{plant}\nfrom nodeagent.cli import main; main()"] if plant else ["-m", "nodeagent"]
    process = await asyncio.create_subprocess_exec(
        *[strace, "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace=%file,{','.join(BY_DESCRIPTOR)}"],
        *[sys.executable, "-B", *start, "run"],
        *["--data", str(data), "--services", str(services), "--health", "127.0.0.1:0"],
        cwd=REPOSITORY,
        env={"PATH": str(data.parent / "no programs")},
    )
    try:
        yield
    finally:
        for child in _children(process.pid):
            os.kill(child, signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            status = await process.wait()
    assert status == 0


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


async def _nobody_joins(*_args: object) -> EnrolReply:
    raise EnrolmentError("nobody joins here", reason=Reason.FORBIDDEN)
