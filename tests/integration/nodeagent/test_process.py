"""The agent as a process: what it says when it starts, runs without a manager, and is told to stop."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from demo.site import free_port
from nodeagent.channel.identity import Pin, ensure_key, save_pin
from nodeagent.core.servicesfile import parse_services
from nodeagent.install.installer import Installer
from nodeagent.install.start import open_state
from nodeagent.install.state import ignore_progress
from nodeagent.settings import ACCOUNTS
from tests import pki
from tests.integration.agent_parts import OWNERS, command, real_bundle
from tests.patience import PATIENCE_S

GOOD = '[[consumer]]\nname = "web"\nreload = ["/bin/true"]\n'
BAD = '[[consumer]]\nname = "web"\nreload = "true"\nwhat = 1\n'


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(fact):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if found := fact():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


@pytest.fixture
def start(tmp_path):
    """Start agents on one data directory whose manager is nowhere."""
    running = []
    data = tmp_path / "data"
    key = ensure_key(data)
    host_key = key.export_public_key().decode().strip()
    save_pin(data, Pin(node="n1", addresses=[f"127.0.0.1:{free_port()}"], host_keys=[host_key]))
    (tmp_path / "services.toml").write_text(GOOD)

    def start_one(port=0, **environment):
        port = port or free_port()
        log = (tmp_path / f"log{len(running)}").open("w")
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nodeagent",
                "run",
                "--data",
                str(data),
                "--services",
                str(tmp_path / "services.toml"),
                "--health",
                f"127.0.0.1:{port}",
            ],
            stderr=log,
            env=os.environ | environment,
        )
        log.close()
        running.append(process)
        return process, port, tmp_path / f"log{len(running) - 1}"

    yield start_one
    for process in running:
        process.kill()
        process.wait(PATIENCE_S)


def test_an_agent_without_a_manager_is_alive_and_not_ready_and_ends_when_told(start):
    process, port, log = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)
    until(lambda: "manager.unreachable" in log.read_text())
    assert ask(port, "/health/live")[0] == 200

    status, body = ask(port, "/health/ready")
    failed = [check for check in json.loads(body)["checks"] if not check["ok"]]
    assert status == 503
    assert [check["name"] for check in failed] == ["manager"]
    assert "certcast_agent_ready 0" in ask(port, "/metrics")[1]

    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[0] == "agent.started"
    assert events[-1] == "agent.stopped"
    assert events.count("manager.unreachable") == 1


def test_a_second_agent_on_the_same_directory_is_refused(start):
    _, port, _ = start()
    until(lambda: ask(port, "/health/live"))
    second, _, log = start()

    assert second.wait(PATIENCE_S) == 1
    assert "another nodeagent runs" in log.read_text()


def test_a_bad_services_file_is_refused_while_running_and_the_old_one_stays(start, tmp_path):
    process, port, log = start()
    until(lambda: ask(port, "/health/live"))
    (tmp_path / "services.toml").write_text(BAD)
    process.send_signal(signal.SIGHUP)
    until(lambda: "services.refused" in log.read_text())
    assert ask(port, "/health/live")[0] == 200

    (tmp_path / "services.toml").write_text(GOOD)
    process.send_signal(signal.SIGHUP)
    until(lambda: "services.read" in log.read_text())


def checked(port: int, name: str) -> dict:
    return next(
        check for check in json.loads(ask(port, "/health/ready")[1])["checks"] if check["name"] == name
    )


def test_a_mistake_that_is_read_while_running_is_warned_of_until_it_is_put_right(start, tmp_path):
    process, port, log = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)
    (tmp_path / "services.toml").write_text(BAD)
    process.send_signal(signal.SIGHUP)
    until(lambda: "services.refused" in log.read_text())
    until(lambda: not checked(port, "services")["ok"])
    found = checked(port, "services")
    assert found["level"] == "warning"
    assert (
        f"{tmp_path}/services.toml: line 3: consumer 'web': reload: 'true' must be a list" in found["message"]
    )

    (tmp_path / "services.toml").write_text(GOOD)
    process.send_signal(signal.SIGHUP)
    until(lambda: checked(port, "services")["ok"])


def test_a_start_on_a_bad_services_file_goes_on_with_the_last_good_one(start, tmp_path):
    process, port, _ = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    (tmp_path / "services.toml").write_text(BAD)

    process, port, log = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    started = next(each for each in events if each["event"] == "agent.started")
    assert started["count"] == 1
    until(lambda: checked(port, "services")["level"] == "warning")


def test_a_first_start_on_a_bad_services_file_runs_and_says_every_mistake(start, tmp_path):
    (tmp_path / "services.toml").write_text(BAD)
    process, port, log = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)

    assert process.poll() is None
    found = checked(port, "services")
    assert (found["ok"], found["level"]) == (False, "critical")
    assert "reload: 'true' must be a list" in log.read_text()
    assert "what: no such key" in log.read_text()


def test_an_agent_whose_health_port_is_taken_runs_without_it_and_says_so(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process, _, log = start(port=taken.getsockname()[1])
        until(lambda: "manager.unreachable" in log.read_text())
        assert process.poll() is None
        assert "health.unavailable" in log.read_text()


def test_a_change_on_the_disk_is_noticed_before_the_minute_is_over(start, tmp_path):
    leaf = pki.current_leaf(None, ["node.example.com"])

    async def lay():
        state = await open_state(tmp_path / "data", services=parse_services(GOOD, ACCOUNTS), owners=OWNERS)
        await Installer(state).install(
            command(real_bundle(leaf, 1)), accepted=lambda _: None, progress=ignore_progress
        )

    asyncio.run(lay())
    _, port, log = start()
    until(lambda: ask(port, "/health/startup")[0] == 200)
    until(lambda: "manager.unreachable" in log.read_text())
    key = tmp_path / "data/current/server/privkey.pem"
    key.chmod(0o644)
    until(lambda: key.stat().st_mode & 0o777 == 0o600)
    assert "mode of server/privkey.pem" in log.read_text()
    until(lambda: "certcast_agent_drifts_total 1" in ask(port, "/metrics")[1])


def test_an_agent_is_made_of_little():
    text = "import sys, nodeagent.app; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    loaded = {name.partition(".")[0] for name in shown.stdout.split()}

    assert "asyncssh" in loaded
    assert not loaded & {"aiohttp", "sqlalchemy", "pydantic", "typer", "certifi", "manager"}
    assert "common.pki.strict" not in shown.stdout.split()


def test_it_tells_the_service_manager_that_it_is_ready_and_feeds_its_watchdog(start, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hub:
        hub.bind(str(tmp_path / "notify"))
        hub.settimeout(10)
        process, _, _ = start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="2000000")
        said = [hub.recv(256).decode() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        while said[-1] != "STOPPING=1":
            said.append(hub.recv(256).decode())

    assert said[0] == "READY=1"
    assert said.count("WATCHDOG=1") >= 2
