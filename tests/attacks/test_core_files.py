"""A process that holds keys is aborted, as the watchdog does it, or read from outside: no core file, no /proc/PID/mem."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from manager.usecases.workers import READ_TIMEOUT_S, Workers
from tests.patience import PATIENCE_S, wait_status

TREE = Path(__file__).parents[2]
PR_GET_DUMPABLE = 3
"""prctl(2)."""

ACCOUNT = 65534 if os.geteuid() == 0 else os.geteuid()
"""Nobody, so that it is not root who reads: root may read everything."""

# as the kernel begins a program: it may be dumped, of any size
BEGIN = f"""
import ctypes, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
from common.runtime import command
os.setresuid({ACCOUNT}, {ACCOUNT}, {ACCOUNT})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
def main():
    secret = "the-secret-of-" + "this-test"
    print("ready", flush=True)
    sys.stdin.read()
"""
PROTECTED = f"{BEGIN}\ncommand.run('x', main)"
BARE = f"{BEGIN}\nmain()"
READER = f"import os, sys; os.setresuid({ACCOUNT}, {ACCOUNT}, {ACCOUNT}); open(sys.argv[1], 'rb')"


@contextmanager
def running(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run Python code in a folder until the block is left; it has printed that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def aborted(code: str, folder: Path) -> bool:
    """Abort a process, and return whether the kernel says that it dumped its memory."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with running(code, folder) as process:
        process.send_signal(signal.SIGABRT)
        status = wait_status(process.pid)
        process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status)
    return os.WCOREDUMP(status)


def is_readable(pid: int, name: str) -> bool:
    """Tell whether another process of the same account can open a file below /proc/PID."""
    done = subprocess.run(
        [sys.executable, "-c", READER, f"/proc/{pid}/{name}"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode == 0


def test_an_aborted_process_leaves_no_core(tmp_path: Path, record_property):
    bare = aborted(BARE, tmp_path / "bare")
    record_property("an ordinary process dumps core here", bare)
    assert not aborted(PROTECTED, tmp_path / "protected")
    assert list((tmp_path / "protected").iterdir()) == []


@pytest.mark.parametrize("name", ["environ", "maps", "mem"])
def test_another_process_of_the_same_account_reads_nothing_of_it(name: str, tmp_path: Path):
    with running(BARE, tmp_path) as bare, running(PROTECTED, tmp_path) as kept:
        if name != "mem":  # which a kernel may close to all
            assert is_readable(bare.pid, name)
        assert not is_readable(kept.pid, name)


def is_private() -> bool:
    may_be_dumped = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) and may_be_dumped == 0


async def test_a_worker_is_kept_private_too():
    async with Workers() as workers:
        assert await workers.run(READ_TIMEOUT_S, is_private)


def test_every_command_begins_where_memory_is_kept_private():
    scripts = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"certcast", "certcast-manager", "certcast-nodeagent"}
    for place in scripts.values():
        module = place.partition(":")[0].replace(".", "/")
        assert "command.run(" in (TREE / f"{module}.py").read_text()
