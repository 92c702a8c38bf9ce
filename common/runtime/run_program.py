"""Programs that are run: an argv, nothing else, in a clean environment, for a bounded time.

Decides when a program has had its time. Leaves to the caller whether it may be run (`trusted_program`), and what its end means.
Invariant: none outlives its timeout, nor does what descends from it when that is over (`descendants`), and none can end or block whoever runs it. A service that has let go of
the program that started it outlives that.
"""

import asyncio
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from common.runtime.descendants import Found, descendants, send
from common.runtime.trusted_program import check_program

OUTPUT_MAX_BYTES: Final = 8 * 1024
"""What is kept of a program's output; the rest is read and dropped, so that it never blocks on a full pipe."""

TERM_GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""

TAIL_S: Final = 0.2
"""How long after its end a program's last output is waited for: a service that it started may hold the pipe for ever."""

LANGUAGE: Final = "C.UTF-8"

SHARED: Final = 0o022
"""The umask where what a program makes is for others to read."""

PRIVATE: Final = 0o077
"""The umask where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedProgram:
    """How a program ended. `status` is the exit status, negative for a signal, None if it had to be killed."""

    status: int | None
    output: str
    duration_ms: int


async def run_program(argv: Sequence[str], timeout_s: float, *, directory: Path) -> CompletedProgram:
    """Run a program for so long at most. Raises OSError if it cannot be started, or if others could change it."""
    path = await asyncio.to_thread(check_program, Path(argv[0]))
    return await run_checked(argv, timeout_s, directory=directory, path=path, umask=SHARED)


async def run_checked(
    argv: Sequence[str], timeout_s: float, *, directory: Path, path: str, umask: int
) -> CompletedProgram:
    """Run one that was checked, with the PATH that the check returned. Raises OSError if it cannot be started."""
    started_s, environment = time.monotonic(), {"PATH": path, "LANG": LANGUAGE}
    pipe = await _OutputPipe.open()
    try:
        process = await _start(argv, environment, pipe, directory, umask)
        status = await _finish(process, pipe, timeout_s)
    finally:
        pipe.close()
    return CompletedProgram(
        status=status,
        output=pipe.kept.decode(errors="replace").strip(),
        duration_ms=round((time.monotonic() - started_s) * 1000),
    )


def failure_text(what: str, status: int, output: str) -> str:
    """Say how a program failed, with the last line of what it printed."""
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    last = output.splitlines()[-1][:200] if output else "it printed nothing"
    return f"{what} failed with {how}: {last}"


class _OutputPipe:
    """A pipe for a command's output. Ours, so that it can be closed although a service the command started holds it."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, write_fd: int) -> None:
        self.kept = bytearray()
        self.write_fd = write_fd
        self._reader = reader
        self._transport = transport

    @classmethod
    async def open(cls) -> Self:
        """Return a pipe whose read end the loop reads."""
        read_fd, write_fd = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
        )
        return cls(reader, transport, write_fd)

    def close_write_end(self) -> None:
        """The command has its copy."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def read(self) -> None:
        """Keep the first bytes and drop the rest, until the last holder of the pipe closed it."""
        while chunk := await self._reader.read(4096):
            self.kept += chunk[: OUTPUT_MAX_BYTES - len(self.kept)]

    def close(self) -> None:
        """Close the pipe."""
        self.close_write_end()
        self._transport.close()


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], pipe: _OutputPipe, directory: Path, umask: int
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            umask=umask,
            stdout=pipe.write_fd,
            stderr=pipe.write_fd,
            start_new_session=True,
        )
    finally:
        pipe.close_write_end()


async def _finish(process: asyncio.subprocess.Process, pipe: _OutputPipe, timeout_s: float) -> int | None:
    """Return the exit status, None if the command had to be killed."""
    status: int | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(pipe.read())
            status = await _wait(process, timeout_s)
            if status is not None:
                await asyncio.wait([reading], timeout=TAIL_S)
            reading.cancel()
    finally:
        if status is None:
            await _end(process)
    return status


async def _wait(process: asyncio.subprocess.Process, timeout_s: float) -> int | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait()
    except TimeoutError:
        return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and all that descends from it now: first politely, then for sure."""
    found: Sequence[Found] = ()
    try:
        # before any of them ends: nobody can tell afterwards who has started what
        found = await asyncio.to_thread(descendants, process.pid)
    finally:
        _signal(process, found, signal.SIGTERM)
    await _wait(process, TERM_GRACE_S)
    _signal(process, found, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, found: Collection[Found], number: signal.Signals) -> None:
    """Send a signal to a command's process group, and to those of its descendants that are in others."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    for each in found:
        if each.group != process.pid:
            send(each, number)
