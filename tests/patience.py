"""Deadlines for events that must happen: far longer than needed, because a loaded machine only delays them."""

import asyncio
import os
import signal
import time
from typing import Final

PATIENCE_S: Final = 60.0


async def ended(process: asyncio.subprocess.Process) -> int:
    """Wait for a process's end; return its exit status."""
    async with asyncio.timeout(PATIENCE_S):
        return await process.wait()


def exit_code(pid: int) -> int:
    """Wait for the end of a child; return its exit code, or a signal's negated number."""
    return os.waitstatus_to_exitcode(wait_status(pid))


def wait_status(pid: int) -> int:
    """Wait for the end of a child; return the kernel's wait status."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"process {pid} did not end within {PATIENCE_S:.0f} s")
