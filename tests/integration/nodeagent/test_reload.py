"""Reload commands as processes: what they may see, and that none outlives its time."""

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InstallError, Reason
from common.ids import fingerprint_of
from common.runtime.run_program import OUTPUT_MAX_BYTES
from nodeagent.install.lastgood import keep_last_good
from nodeagent.install.probe import Prober
from nodeagent.install.reload import reload_consumer
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    TlsService,
    consumer,
    install,
    open_node,
    real_bundle,
    refusing,
    script,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import bundle as in_parts
from tests.patience import PATIENCE_S


async def failure(one) -> InstallError:
    with pytest.raises(InstallError) as failed:
        await reload_consumer(one, Path("/"))
    return failed.value


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def killed(pid: int) -> None:
    """Wait until a process is: it has a moment to be reaped by whoever adopted it."""
    async with asyncio.timeout(PATIENCE_S):
        while is_alive(pid):  # noqa: ASYNC110 - there is no event for the end of a stranger's child
            await asyncio.sleep(0.02)


async def test_a_command_sees_a_clean_environment_and_begins_in_the_directory_that_it_is_given(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("CERTCAST_PASSWORD", "secret")
    ran = await reload_consumer(consumer(script(tmp_path / "reload", "env; pwd; cat")), tmp_path)

    assert "secret" not in ran.output
    assert "PATH=/usr/local/sbin:" in ran.output
    assert ran.output.splitlines()[-1] == str(tmp_path)


async def test_a_talkative_command_neither_blocks_nor_fills_the_memory(tmp_path):
    ran = await reload_consumer(
        consumer(script(tmp_path / "reload", "head -c 1000000 /dev/zero | tr '\\0' x")), tmp_path
    )
    assert len(ran.output) == OUTPUT_MAX_BYTES


async def test_a_service_that_the_command_starts_is_neither_waited_for_nor_killed(tmp_path):
    await reload_consumer(
        consumer(script(tmp_path / "reload", f"sleep 600 & echo $! >{tmp_path}/pid")), tmp_path
    )
    pid = int((tmp_path / "pid").read_text())

    assert is_alive(pid)
    os.kill(pid, 9)


async def test_a_command_that_hangs_is_killed_with_all_that_it_started_even_if_it_ignores_sigterm(tmp_path):
    text = f"trap '' TERM; sleep 60 & echo $! >{tmp_path}/pid; while :; do sleep 60; done"
    error = await failure(consumer(script(tmp_path / "reload", text), timeout_s=0.3))

    assert error.reason == Reason.RELOAD_TIMEOUT
    await killed(int((tmp_path / "pid").read_text()))


async def test_a_command_that_hangs_is_killed_with_what_it_started_in_a_session_of_its_own(tmp_path):
    text = f"trap '' TERM; setsid sleep 600 & echo $! >{tmp_path}/pid; while :; do sleep 60; done"
    error = await failure(consumer(script(tmp_path / "reload", text), timeout_s=1.0))

    assert error.reason == Reason.RELOAD_TIMEOUT
    await killed(int((tmp_path / "pid").read_text()))


async def test_a_service_that_has_let_go_of_a_command_that_hangs_is_not_killed(tmp_path):
    text = f"(setsid sleep 600 & echo $! >{tmp_path}/pid); while :; do sleep 60; done"
    error = await failure(consumer(script(tmp_path / "reload", text), timeout_s=1.0))
    pid = int((tmp_path / "pid").read_text())

    assert (error.reason, is_alive(pid)) == (Reason.RELOAD_TIMEOUT, True)
    os.kill(pid, 9)


async def test_a_command_that_is_not_there_is_a_failed_reload(tmp_path):
    error = await failure(consumer(tmp_path / "nowhere"))
    assert error.reason == Reason.RELOAD_FAILED
    assert "No such file" in error.message


async def test_a_command_that_is_killed_says_by_which_signal(tmp_path):
    error = await failure(consumer(script(tmp_path / "reload", "kill -9 $$")))
    assert "signal 9" in error.message


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
async def test_a_service_that_speaks_tls_1_0_is_seen_too(tmp_path):
    leaf = pki.make_leaf(ROOT, ["old.example.com"], key=pki.make_rsa_key())
    (tmp_path / "leaf.pem").write_text(leaf.certificate_pem + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        (seen,) = await Prober().probe([consumer(tmp_path / "x", port=port)], {})

    assert seen.leaf == fingerprint_of(leaf.certificate_der)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nodeagent", *words], capture_output=True, text=True, check=False, timeout=30
    )


def status_words(directory: Path, port: int) -> list[str]:
    """Declare the service of this port in a file; return what asks how the node stands."""
    file = directory / "services.toml"
    file.write_text(
        f'[[consumer]]\nname = "web"\nreload = ["{directory}/reload"]\n'
        f'[[consumer.endpoint]]\nhost = "127.0.0.1"\nport = {port}\nprotocol = "https"\n'
    )
    return ["status", "--data", str(directory / "data"), "--services", str(file)]


async def test_status_names_the_part_that_is_not_installed_and_is_not_well(tmp_path):
    leaf, data = pki.make_leaf(ROOT), tmp_path / "data"
    async with TlsService(data).run(pki.make_leaf(ROOT), tmp_path) as service:
        web = consumer(service.reload_script(tmp_path), port=service.port)
        bad = refusing("badclient", "client")
        state = await open_node(data, services(web, bad))
        assert (await install(state, in_parts(3, leaf, client=leaf))).result == "applied"
        words = status_words(tmp_path, service.port)
        shown = await asyncio.to_thread(command, *words)
    assert "generation 3 of epoch 1 in part, without the client certificate" in shown.stdout
    assert "serves what is installed" in shown.stdout
    assert shown.returncode == 1


async def test_status_does_not_call_installed_what_a_failed_first_installation_left(tmp_path):
    leaf, data = pki.make_leaf(ROOT), tmp_path / "data"
    async with TlsService(data).run(pki.make_leaf(ROOT), tmp_path) as service:
        web = consumer(service.reload_script(tmp_path), port=service.port)
        bad = refusing("badsrv", "server")
        state = await open_node(data, services(web, bad))
        assert (await install(state, real_bundle(leaf, 3))).result == "failed"
        words = status_words(tmp_path, service.port)
        shown = await asyncio.to_thread(command, *words)
    assert shown.returncode == 1
    assert "applied      nothing yet" in shown.stdout
    assert "serves what is there, which was never proven, over TLSv1.3" in shown.stdout
    assert "serves what is installed" not in shown.stdout


async def test_status_tells_what_is_installed_and_what_is_served(tmp_path):
    leaf, other = pki.make_leaf(ROOT), pki.make_leaf(ROOT)
    data = tmp_path / "data"
    async with TlsService(data).run(other, tmp_path) as service:
        state = await open_node(data, services(consumer(service.reload_script(tmp_path), port=service.port)))
        await install(state, real_bundle(leaf, 3))
        words = status_words(tmp_path, service.port)
        well = await asyncio.to_thread(command, *words)
        (data / "current/server/chain.pem").write_text("other")
        ill = await asyncio.to_thread(command, *words)
        text = (tmp_path / "services.toml").read_text()
        keep_last_good(data, text)
        (tmp_path / "services.toml").write_text(f"{text}[[consumer]]\n")
        mistaken = await asyncio.to_thread(command, *words)

    assert mistaken.returncode == 1
    assert f"{tmp_path}/services.toml: line 8: " in mistaken.stdout
    assert "serves what is installed" in mistaken.stdout, "the agent goes by the last good file as well"
    assert (well.returncode, ill.returncode) == (0, 1)
    assert "over TLSv1.3" in well.stdout
    assert "generation 3 of epoch 1" in well.stdout
    assert "serves what is installed" in well.stdout
    assert "content of server/chain.pem" in ill.stdout
    assert well.stderr == ""


def test_without_a_command_the_first_steps_are_told():
    shown = command()
    assert shown.returncode == 0
    assert "certcast-nodeagent join TOKEN" in shown.stdout


def test_a_node_that_has_not_joined_is_told_how(tmp_path):
    shown = command("run", "--data", str(tmp_path))
    assert shown.returncode == 1
    assert "certcast node add" in shown.stderr


@pytest.mark.parametrize("name", ["join", "run", "status", "check"])
def test_each_commands_help_teaches_by_an_example(name):
    assert "Example:\n  certcast-nodeagent " + name in command(name, "--help").stdout
