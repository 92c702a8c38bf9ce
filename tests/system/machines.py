"""Booted Debian machines in containers, on one cable, and a person at a terminal of each."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Final

from tests.patience import ended
from tests.system.debian import debian_root

BOOT_S: Final = 120.0
LINE_S: Final = 180.0
"""The longest that one line at a terminal may take; the slowest installs some fifty wheels."""

OFF_S: Final = 30.0
COLUMNS: Final = 80
PROMPT: Final = re.compile(rb"\[(\d+)\]ready> \Z")
SHELL: Final = ("/bin/bash", "--noprofile", "--norc", "--noediting", "-i")
COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Machine:
    """A machine that has booted. `leader` is its first process, as this machine numbers it."""

    def __init__(self, leader: int) -> None:
        self.leader = leader

    def argv(self, *argv: str, spaces: Sequence[str] = ("--all",)) -> tuple[str, ...]:
        """Return what runs a program in the machine, or in some of its namespaces only."""
        return ("nsenter", f"--target={self.leader}", *spaces, "--", *argv)

    async def connect(self, interface: str, address: str) -> None:
        """Plug an end of the cable in, and give it its address."""
        await _run("ip", "link", "set", interface, "netns", str(self.leader))
        for line in (f"link set {interface} up", f"address add {address}/24 dev {interface}"):
            await _run(*self.argv("ip", *line.split(), spaces=["--net"]))

    @asynccontextmanager
    async def terminal(self, **variables: str) -> AsyncIterator["Terminal"]:
        """Sit down at a terminal as root."""
        master, slave = os.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        environment = {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PS1": "[$?]ready> ",
            "TERM": "xterm",
            **variables,
        }
        shell = self.argv("/usr/bin/env", "-i", *(f"{key}={value}" for key, value in environment.items()))
        process = await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", "--wait", *shell, *SHELL), stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        made = Terminal(master)
        try:
            await made.until_ready()
            yield made
        finally:
            made.close()
            process.kill()
            await ended(process)


class Terminal:
    """Where a person types; `transcript` is all that was to be seen."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._came = asyncio.Event()
        self._seen = b""
        self.transcript = ""
        asyncio.get_running_loop().add_reader(master, self._read)

    async def type(self, line: str, *, answers: Mapping[str, str] | None = None) -> str:
        """Type a line, answer each question that ends with a key of `answers`, and return what was printed.

        Fails if the line's exit status is not 0.
        """
        self._write(f"{line}\n")
        status, printed = await self.until_ready(answers or {})
        assert status == 0, f"exit status {status} of: {line}\n{self.transcript[-6000:]}"
        return printed.removeprefix(f"{line}\n")

    async def until_ready(self, answers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Wait for the shell's prompt; return the exit status in it, and what was printed before."""
        asked = {question.encode(): answer for question, answer in (answers or {}).items()}
        answered_to = 0
        try:
            async with asyncio.timeout(LINE_S):
                while (ended := PROMPT.search(self._seen)) is None:
                    for question, answer in asked.items():
                        if self._seen[answered_to:].endswith(question):
                            answered_to = len(self._seen)
                            self._write(f"{answer}\n")
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(
                f"no end after {LINE_S:.0f} s:\n{self.transcript}{_text(self._seen)}"
            ) from None
        printed, self._seen = _text(self._seen[: ended.start()]), b""
        self.transcript += f"{printed}[{ended.group(1).decode()}]ready> "
        return int(ended.group(1)), printed

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _write(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _read(self) -> None:
        try:
            self._seen += os.read(self._master, 65536)
        except OSError:  # the shell is gone
            asyncio.get_running_loop().remove_reader(self._master)
        self._came.set()


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[str, str]]:
    """Make a cable between two machines; yields the names of its ends."""
    ends = (f"cc{os.getpid()}a", f"cc{os.getpid()}b")
    await _run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    try:
        yield ends
    finally:
        # gone with the machine that has an end of it, if one was started
        await _run("ip", "link", "delete", ends[0], may_fail=True)


@asynccontextmanager
async def booted(name: str, *, directory: Path, binds: Mapping[Path, str]) -> AsyncIterator[Machine]:
    """Boot a machine that forgets what is written to its root. `binds` are its own, to be written to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.bind(str(directory / f"{name}.notify"))
    process = await asyncio.create_subprocess_exec(
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes"),
        *("--volatile=overlay", f"--machine={name}", "--private-network"),
        *("-D", await debian_root()),
        *(f"--bind={here}:{there}" for here, there in binds.items()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "NOTIFY_SOCKET": str(directory / f"{name}.notify")},
    )
    try:
        yield Machine(await _leader(listener))
    finally:
        listener.close()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)  # nspawn tells the machine to power off
        try:
            async with asyncio.timeout(OFF_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await ended(process)


async def _leader(listener: socket.socket) -> int:
    """Wait until the machine has booted; return its first process."""
    leader, is_ready = 0, False
    async with asyncio.timeout(BOOT_S):
        while not (leader and is_ready):
            states = (await asyncio.get_running_loop().sock_recv(listener, 4096)).decode().splitlines()
            for line in states:
                if line.startswith("X_NSPAWN_LEADER_PID="):
                    leader = int(line.partition("=")[2])
            is_ready = is_ready or "READY=1" in states
    return leader


async def _run(*argv: str, may_fail: bool = False) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(LINE_S):
        printed, _ = await process.communicate()
    assert may_fail or process.returncode == 0, f"{' '.join(argv)}: {printed.decode()}"


def _text(seen: bytes) -> str:
    return COLOURS.sub("", seen.decode(errors="replace")).replace("\r\n", "\n")
