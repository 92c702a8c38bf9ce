"""Descendants of processes: which are found, and that a signal is for none that has a number since."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from common.runtime.descendants import Found, descendants, send
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Shell:
    """A shell that waits for another one in a session of its own, which waits for a third process; `started` are the numbers of these two."""

    process: subprocess.Popen[str]
    started: set[int]


@pytest.fixture
def shell() -> Iterator[Shell]:
    third = "sleep 600 & echo $!; wait"
    text = f"setsid sh -c '{third}' & echo $!; wait"
    with subprocess.Popen(["/bin/sh", "-c", text], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = {int(process.stdout.readline()) for _ in range(2)}
        known = descendants(process.pid)
        yield Shell(process, started)
        for each in known:
            send(each, signal.SIGKILL)
        process.kill()


def found(pid: int) -> Found:
    return next(each for each in descendants(os.getpid()) if each.pid == pid)


def test_what_a_process_has_started_is_found_through_all_that_lies_between_also_in_another_session(
    shell: Shell,
):
    known = descendants(shell.process.pid)
    assert {each.pid for each in known} == shell.started
    assert {each.group for each in known} <= shell.started


def test_a_process_that_has_started_nothing_has_no_descendants(shell: Shell):
    assert sorted(len(descendants(each)) for each in shell.started) == [0, 1]


def test_a_signal_is_not_for_a_process_that_has_the_number_of_another_one(shell: Shell):
    known = found(shell.process.pid)
    send(replace(known, began=known.began + 1), signal.SIGTERM)
    send(known, signal.SIGKILL)
    # which comes after the first one, if that was sent
    assert shell.process.wait(timeout=PATIENCE_S) == -signal.SIGKILL


def test_a_signal_for_a_process_that_has_ended_goes_nowhere(shell: Shell):
    known = found(shell.process.pid)
    send(known, signal.SIGKILL)
    shell.process.wait(timeout=PATIENCE_S)
    send(known, signal.SIGKILL)
