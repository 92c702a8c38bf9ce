"""Running programs: an argv without a shell, in a clean environment, for a bounded time.

Decides when a program's time is over. Leaves to the caller whether to run it (`trusted_program`), and the meaning
of its exit. Invariant: a program and its descendants at that time (`descendants`) end at its timeout, and it cannot
end or block the caller. A service that detached from the program survives it.
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
"""The output to keep; the rest is read and dropped, so that a program never blocks on a full pipe."""

TERM_GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""

TAIL_S: Final = 0.2
"""How long to wait for a program's last output after its end: a service it started may hold the pipe for ever."""

LANGUAGE: Final = "C.UTF-8"

SHARED: Final = 0o022
"""The umask for programs whose files others may read."""

PRIVATE: Final = 0o077
"""The umask for all other programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedProgram:
    """How a program ended. `status` is the exit status, negative for a signal, None if it was killed here."""

    status: int | None
    output: str
    duration_ms: int


async def run_program(argv: Sequence[str], timeout_s: float, *, directory: Path) -> CompletedProgram:
    """Run a program with a time limit. Raises OSError if it cannot be started or if others could change it."""
    path = await asyncio.to_thread(check_program, Path(argv[0]))
    return await run_checked(argv, timeout_s, directory=directory, path=path, umask=SHARED)


async def run_checked(
    argv: Sequence[str], timeout_s: float, *, directory: Path, path: str, umask: int
) -> CompletedProgram:
    """Run a checked program with the PATH from its check. Raises OSError if it cannot be started."""
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
    """Describe how a program failed, with the last line of its output."""
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    last = output.splitlines()[-1][:200] if output else "it printed nothing"
    return f"{what} failed with {how}: {last}"


class _OutputPipe:
    """A pipe for a command's output, which can be closed even while a service it started holds the other end."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, write_fd: int) -> None:
        self.kept = bytearray()
        self.write_fd = write_fd
        self._reader = reader
        self._transport = transport

    @classmethod
    async def open(cls) -> Self:
        """Return a pipe that the event loop reads."""
        read_fd, write_fd = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
        )
        return cls(reader, transport, write_fd)

    def close_write_end(self) -> None:
        """Close our write end: the command has its copy."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def read(self) -> None:
        """Keep the first bytes and drop the rest until the last holder closes the pipe."""
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
    """Return the exit status, None if the command was killed."""
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
    """End the command and its present descendants: with SIGTERM, then with SIGKILL."""
    found: Sequence[Found] = ()
    try:
        # before any of them ends: afterwards nobody can tell which process started which
        found = await asyncio.to_thread(descendants, process.pid)
    finally:
        _signal(process, found, signal.SIGTERM)
    await _wait(process, TERM_GRACE_S)
    _signal(process, found, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, found: Collection[Found], number: signal.Signals) -> None:
    """Send a signal to a command's process group, and to its descendants in other groups."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    for each in found:
        if each.group != process.pid:
            send(each, number)
