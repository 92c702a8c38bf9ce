import os
import socket
from pathlib import Path

import pytest

from common.runtime.trusted import name_of
from nodeagent.health import plugin
from nodeagent.health.holder import TABLES, stranger_at
from tests.unit.nodeagent.health.test_plugin import listening

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
NOBODY = 65534
PORT = 9470


def table(path: Path, local: str, *, state: str = "0A", uid: int = NOBODY) -> Path:
    """Write a table of the kernel with one socket, as a little-endian machine has it."""
    line = f"   0: {local}:{PORT:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 1 1 0 100 0\n"
    path.write_text(HEAD + line)
    return path


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", "0100007F"),
        ("127.0.0.1", "00000000"),
        ("localhost", "0100007F"),
        ("::1", "00000000000000000000000001000000"),
        ("::1", "00000000000000000000000000000000"),
        ("127.0.0.1", "0000000000000000FFFF00000100007F"),
    ],
)
def test_a_port_that_somebody_else_took_is_somebody_elses(tmp_path: Path, monkeypatch, host: str, local: str):
    monkeypatch.setattr("sys.byteorder", "little")
    assert stranger_at(host, PORT, tables=[table(tmp_path / "tcp", local)]) == name_of(NOBODY)


@pytest.mark.parametrize(
    ("local", "more"),
    [
        ("0200007F", {}),
        ("0100007F", {"state": "01"}),
        ("0100007F", {"uid": 0}),
        ("0100007F", {"uid": os.geteuid()}),
    ],
)
def test_another_address_a_connection_and_roots_ports_are_not(tmp_path: Path, monkeypatch, local: str, more):
    monkeypatch.setattr("sys.byteorder", "little")
    assert stranger_at("127.0.0.1", PORT, tables=[table(tmp_path / "tcp", local, **more)]) == ""
    assert stranger_at("192.0.2.1", PORT, tables=[table(tmp_path / "tcp", local, **more)]) == ""
    assert stranger_at("127.0.0.1", PORT, tables=[tmp_path / "nothing"]) == ""


def test_the_kernels_own_tables_say_whose_a_port_is(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        owner = name_of(os.geteuid())
        assert stranger_at("127.0.0.1", port, tables=TABLES) == ""
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        monkeypatch.setattr("nodeagent.health.holder.ROOT_UID", NOBODY)
        assert stranger_at("127.0.0.1", port, tables=TABLES) == owner


def test_an_answer_of_somebody_elses_process_is_critical_whatever_it_says(monkeypatch):
    monkeypatch.setattr(plugin, "stranger_at", lambda host, port: f"{host}:{port}'s owner")
    with listening(b'{"status":"ok","checks":[{"name":"loop","ok":true,"message":"it answers"}]}') as url:
        code, line = plugin.ask(url)
    assert code == plugin.CRITICAL
    assert f"is a process of '{url.removeprefix('http://')}'s owner'" in line
