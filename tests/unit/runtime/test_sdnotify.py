import os
import socket
from pathlib import Path

import pytest

from common.runtime import sdnotify


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_reach_the_service_managers_socket(tmp_path: Path, monkeypatch, abstract: bool):
    name = f"@certcast-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert sdnotify.notify(sdnotify.READY, "STATUS=here")
        assert receiver.recv(100) == b"READY=1\nSTATUS=here"


@pytest.mark.parametrize("path", ["", "relative", "/nonexistent/notify"])
def test_without_a_socket_nothing_happens(monkeypatch, path: str):
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not sdnotify.notify(sdnotify.READY)


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("30000000", None, 15.0),
        ("30000000", "1", None),
        ("", None, None),
        ("x", None, None),
        ("0", None, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_limit_if_it_is_ours(monkeypatch, usec, pid, interval_s):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert sdnotify.watchdog_interval_s() == interval_s
