"""Services that lie: what a reload says and what a port then serves are two things, and only the port counts."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

from common.errors import Reason
from common.ids import fingerprint_of
from common.wire.messages import DIAGNOSTICS_MAX_BYTES
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.install import diagnostics
from nodeagent.install.upkeep import Upkeep
from tests.integration.agent_parts import (
    GIVEN_UP_S,
    NEW,
    OLD,
    OTHER,
    TlsService,
    consumer,
    impatient,
    install,
    open_node,
    real_bundle,
    script,
    services,
)
from tests.patience import PATIENCE_S


def leaf_of(made):
    return fingerprint_of(made.certificate_der)


def said(outcome):
    return outcome.result, outcome.phase, outcome.reason


def served(outcome):
    return [seen.leaf for seen in outcome.report.serving]


def files_shown(data: Path) -> str:
    return (data / "current/server/certificate.pem").read_text()


async def test_a_reload_that_exits_0_and_does_nothing_is_a_mismatch_and_rolled_back(node, data, tmp_path):
    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    outcome = await install(node, real_bundle(NEW, 2))

    assert said(outcome) == ("rolled_back", "verify", Reason.VERIFY_MISMATCH)
    assert served(outcome) == [leaf_of(OLD)]
    assert files_shown(data) == OLD.certificate_pem


async def test_a_reload_that_exits_1_but_worked_is_rolled_back_and_the_old_set_is_served_again(
    node, data, service, tmp_path
):
    script(tmp_path / "reload", f"kill -HUP {os.getpid()}; sleep 0.1; exit 1")
    outcome = await install(node, real_bundle(NEW, 2))

    # it worked both times although it said otherwise; the way back is judged by the port alone
    assert said(outcome) == ("rolled_back", "reload", Reason.RELOAD_FAILED)
    assert served(outcome) == [leaf_of(OLD)]
    assert service.reloads == 3
    assert files_shown(data) == OLD.certificate_pem


async def test_a_reload_that_hangs_is_killed_and_rolled_back(node, data, service, tmp_path):
    hangs = script(
        tmp_path / "hang",
        f"[ -e {tmp_path}/hung ] && exec kill -HUP {os.getpid()}; touch {tmp_path}/hung; echo about to hang; sleep 60",
    )
    node.services = services(consumer(hangs, port=service.port, timeout_s=1))
    outcome = await install(node, real_bundle(NEW, 2))

    assert said(outcome) == ("rolled_back", "reload", Reason.RELOAD_TIMEOUT)
    assert served(outcome) == [leaf_of(OLD)]
    assert files_shown(data) == OLD.certificate_pem
    assert "about to hang" in outcome.diagnostics


async def test_a_reload_that_dies_is_rolled_back(node, data, service, tmp_path):
    script(
        tmp_path / "reload",
        f"[ -e {tmp_path}/died ] && exec kill -HUP {os.getpid()}; touch {tmp_path}/died; kill -9 $$",
    )
    outcome = await install(node, real_bundle(NEW, 2))

    assert said(outcome) == ("rolled_back", "reload", Reason.RELOAD_FAILED)
    assert "signal 9" in outcome.message
    assert served(outcome) == [leaf_of(OLD)]


async def test_a_service_that_dies_of_its_reload_is_rolled_back_and_served_again_once_it_runs(data, tmp_path):
    """A process of its own, so that it can die; the way back starts it on the old files."""
    port = await start_tiny(data, tmp_path)
    start = (
        f"cd {Path(__file__).parents[3]} && {sys.executable} -m demo.tiny_tls {port} {data}/current/server/fullchain.pem "
        f"{data}/current/server/privkey.pem {tmp_path}/tiny.pid </dev/null >/dev/null 2>&1 & "
    )
    works = f"kill -HUP $(cat {tmp_path}/tiny.pid)"
    reload = script(tmp_path / "reload", works)
    state = await open_node(data, services(consumer(reload, port=port)))
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    listens = f"grep -qi ':{port:04x} 00000000:0000 0A' /proc/net/tcp"
    script(
        reload,
        f"if [ -e {tmp_path}/dead ]; then {start} until {listens}; do sleep 0.05; done; exit 0; fi; touch {tmp_path}/dead; kill -9 $(cat {tmp_path}/tiny.pid)",
    )
    state.services = services(consumer(reload, port=port, timeout_s=PATIENCE_S, verify_s=GIVEN_UP_S))
    outcome = await install(state, real_bundle(NEW, 2))

    assert said(outcome) == ("rolled_back", "verify", Reason.VERIFY_UNREACHABLE)
    assert served(outcome) == [leaf_of(OLD)]
    assert files_shown(data) == OLD.certificate_pem
    os.kill(int((tmp_path / "tiny.pid").read_text()), signal.SIGTERM)


async def start_tiny(data: Path, tmp_path: Path) -> int:
    """Start demo.tiny_tls on a first generation; returns its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # it serves from where the tree will be, so the tree must be there: laid out without a service
    state = await open_node(data, services())
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo.tiny_tls", str(port)),
        *(str(data / "current/server/fullchain.pem"), str(data / "current/server/privkey.pem")),
        str(tmp_path / "tiny.pid"),
        cwd=Path(__file__).parents[3],
    )
    async with asyncio.timeout(PATIENCE_S):
        while not (tmp_path / "tiny.pid").exists():  # noqa: ASYNC110 - another process tells by a file
            await asyncio.sleep(0.05)
    return port


async def test_a_leaf_that_is_served_only_after_a_while_is_waited_for(node, service, monkeypatch, tmp_path):
    """Five seconds at the usual deadline of 15, here a tenth of each."""
    loop, hang_up = asyncio.get_running_loop(), service.hang_up

    def later() -> None:
        loop.call_later(0.5, hang_up)

    loop.add_signal_handler(signal.SIGHUP, later)
    node.services = services(consumer(tmp_path / "reload", port=service.port))
    outcome = await install(node, real_bundle(NEW, 2))

    assert said(outcome) == ("applied", "commit", "")
    assert served(outcome) == [leaf_of(NEW)]


async def test_a_leaf_that_is_served_after_the_deadline_is_rolled_back_and_the_old_one_is_served_then(
    node, service, tmp_path
):
    loop, hang_up = asyncio.get_running_loop(), service.hang_up
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.call_later(0.7, hang_up))
    node.services = services(consumer(tmp_path / "reload", port=service.port, verify_s=0.3))
    outcome = await install(node, real_bundle(NEW, 2))

    assert outcome.result in {"rolled_back", "failed"}
    assert outcome.reason in {Reason.VERIFY_MISMATCH, Reason.ROLLBACK_FAILED}
    node.services = services(consumer(tmp_path / "reload", port=service.port))
    await Upkeep(node).turn()
    assert [seen.leaf for seen in node.local.serving] == [leaf_of(OLD)]


def by_name(service: TlsService, tmp_path: Path) -> None:
    """Let the service show another leaf to who asks for other.example.com, whatever it has loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "first.pem")
    choose = service._choose

    def choose_by_name(connection, name, first):
        if name == "other.example.com":
            connection.context = context
        else:
            choose(connection, name, first)

    service.base.sni_callback = choose_by_name


def asking(service: TlsService, tmp_path: Path, *names: str) -> Consumer:
    return Consumer(
        name="web",
        uses=("server",),
        reload=(str(tmp_path / "reload"),),
        timeout_s=5,
        verify_timeout_s=1,
        endpoints=tuple(
            Endpoint(host="127.0.0.1", port=service.port, protocol="https", sni=name) for name in names
        ),
    )


async def test_a_port_that_shows_another_names_leaf_is_a_mismatch_and_rolled_back(
    node, data, service, tmp_path
):
    by_name(service, tmp_path)
    node.services = services(asking(service, tmp_path, "other.example.com"))
    outcome = await install(node, real_bundle(NEW, 2))

    # what this name shows was never ours, before as after: the way back cannot be proven there, and says so
    assert said(outcome) == ("failed", "rollback", Reason.ROLLBACK_FAILED)
    assert leaf_of(OTHER)[:16] in outcome.message
    assert files_shown(data) == OLD.certificate_pem
    assert node.file.journal.applied.generation == 1

    node.services = services(asking(service, tmp_path, "new.example.com"))
    assert said(await install(node, real_bundle(NEW, 3))) == ("applied", "commit", "")


async def test_one_stale_endpoint_of_two_is_enough_to_roll_back_both(node, data, service, tmp_path):
    async with TlsService(data).run(OLD, tmp_path) as stale:
        # it does not hear the reload: one process of two that were meant
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.hang_up)
        one = asking(service, tmp_path, "a.example.com")
        endpoints = (*one.endpoints, *asking(stale, tmp_path, "a.example.com").endpoints)
        node.services = services(
            Consumer(
                name="web",
                uses=one.uses,
                reload=one.reload,
                timeout_s=5,
                verify_timeout_s=1,
                endpoints=endpoints,
            )
        )
        stale.load()
        outcome = await install(node, real_bundle(NEW, 2))

    assert said(outcome) == ("rolled_back", "verify", Reason.VERIFY_MISMATCH)
    assert f"127.0.0.1:{stale.port}/a.example.com" in outcome.message
    assert {seen.leaf for seen in outcome.report.serving if seen.endpoint.endswith("/a.example.com")} == {
        leaf_of(OLD)
    }
    assert files_shown(data) == OLD.certificate_pem


# -- what is told of it


async def test_a_rollback_comes_with_what_was_seen_before_it(node, service, tmp_path):
    script(tmp_path / "reload", "echo bad configuration in line 7; cat /dev/null; exit 3")
    outcome = await install(node, real_bundle(NEW, 2))

    assert "exit status 3" in outcome.diagnostics
    assert "bad configuration in line 7" in outcome.diagnostics
    assert "- 0600" in outcome.diagnostics
    assert "server/privkey.pem" in outcome.diagnostics


async def test_what_the_ports_showed_is_told_change_by_change(node, tmp_path):
    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    outcome = await install(node, real_bundle(NEW, 2))

    assert f"leaf {leaf_of(OLD)[:16]} and 1 further" in outcome.diagnostics
    assert outcome.diagnostics.count("after 0.") == 1


async def test_no_private_key_and_never_too_much_is_told(node, data, tmp_path):
    script(
        tmp_path / "reload",
        f"cat {data}/current/server/privkey.pem; head -c 20000 /dev/zero | tr '\\0' x; echo 'schlüssel'; exit 1",
    )
    outcome = await install(node, real_bundle(NEW, 2))

    assert "<secret>" in outcome.diagnostics
    assert "PRIVATE KEY" not in outcome.diagnostics
    assert NEW.key_pem.splitlines()[1] not in outcome.diagnostics
    assert len(outcome.diagnostics) <= DIAGNOSTICS_MAX_BYTES
    assert outcome.diagnostics.isascii()


async def test_the_units_own_journal_is_told_where_a_unit_is_named(node, monkeypatch, tmp_path):
    journalctl = script(tmp_path / "journalctl", 'echo "asked for $2: 2026-11-24 emerg: bind() failed"')
    monkeypatch.setattr(diagnostics, "JOURNALCTL", str(journalctl))
    script(tmp_path / "reload", "exit 1")
    before = node.services.consumers[0]
    node.services = services(
        Consumer(
            name="web",
            uses=("server",),
            reload=before.reload,
            timeout_s=5,
            verify_timeout_s=1,
            endpoints=before.endpoints,
            unit="nginx.service",
        )
    )
    outcome = await install(node, real_bundle(NEW, 2))

    assert (
        "journal of nginx.service:\nasked for nginx.service: 2026-11-24 emerg: bind() failed"
        in outcome.diagnostics
    )


async def test_what_was_seen_is_kept_until_the_manager_has_it(node, data, tmp_path):
    script(tmp_path / "reload", "echo so it was; exit 1")
    await install(node, real_bundle(NEW, 2))
    again = await open_node(data, node.services)

    assert "so it was" in again.local.unacknowledged_outcome(0).diagnostics
