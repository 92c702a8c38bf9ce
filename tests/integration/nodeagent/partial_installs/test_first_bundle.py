"""What one service refuses of a node's first bundle does not keep the rest from going live."""

import os
from dataclasses import replace

import pytest

from common.errors import InstallError, Reason
from common.ids import fingerprint_of
from nodeagent.core.services import Consumer, Copy
from nodeagent.install import proof
from nodeagent.install.installer import Installer
from nodeagent.install.state import ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OLD,
    OTHER,
    command,
    install,
    open_node,
    script,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import (
    NEXT,
    bundle,
    counting,
    live,
    refusing_two,
    web,
)


def calls_of(tmp_path, name: str) -> int:
    return len((tmp_path / f"{name}.calls").read_text().splitlines())


async def test_one_service_at_fault_does_not_keep_the_first_bundle_from_the_others(data, service, tmp_path):
    https = web(service.reload_script(tmp_path), service.port)
    state = await open_node(data, services(https, counting(tmp_path, "client", "echo no client; exit 1")))
    outcome = await install(state, bundle(1, client=OTHER))

    assert (outcome.result, outcome.digest) == ("applied", bundle(1, client=OTHER).manifest.digest)
    assert outcome.report.applied.leaves == {"server": fingerprint_of(OLD.certificate_der)}
    assert outcome.report.serving[0].leaf == fingerprint_of(OLD.certificate_der)
    (refused,) = outcome.report.refused
    assert (refused.part, refused.reason, refused.attempts) == ("client", Reason.RELOAD_FAILED, 1)
    assert "no client" in refused.message
    assert (outcome.report.last_failed.result, outcome.report.last_failed.retry_after_s) == ("rejected", 60)
    assert not (data / "current/client").exists()
    assert (service.reloads, calls_of(tmp_path, "client")) == (1, 1), "who is at fault is known without a try"


async def test_the_part_that_was_missing_from_the_first_bundle_is_tried_early_and_then_goes_live(
    data, service, tmp_path
):
    https = web(service.reload_script(tmp_path), service.port)
    state = await open_node(data, services(https, counting(tmp_path, "client", "echo no client; exit 1")))
    await install(state, bundle(1, client=OTHER))
    state.clock = lambda: pki.NOW_S + 61
    again = await install(state, bundle(1, client=OTHER))
    assert (again.result, again.report.applied.generation) == ("rolled_back", 1)
    assert again.report.last_failed.attempts == 2
    assert service.reloads == 1, "the other service has what it needs"

    counting(tmp_path, "client", "exit 0")
    state.clock = lambda: pki.NOW_S + 500
    outcome = await install(state, bundle(1, client=OTHER))
    assert (outcome.result, outcome.report.refused) == ("applied", [])
    assert outcome.report.applied.leaves.keys() == {"server", "client"}
    assert outcome.report.last_failed is None


async def test_a_client_certificate_that_the_only_service_refuses_is_found_in_its_first_bundle(
    data, service, tmp_path
):
    refusing_two(tmp_path, data, os.getpid())
    everything = web(tmp_path / "reload", service.port, "server", "client", "trust")
    state = await open_node(data, services(everything))
    outcome = await install(state, bundle(1, client=NEXT))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(OLD.certificate_der)
    (refused,) = outcome.report.refused
    assert (refused.part, "no client" in refused.message) == ("client", True)


async def test_a_copy_that_the_disk_refuses_does_not_keep_the_first_bundle_from_the_other_service(
    data, service, tmp_path, monkeypatch
):
    def no_client(copies, body_of):
        if any(copy.part == "client" for copy in copies):
            raise InstallError("the disk refused it the copy", reason=Reason.INTERNAL)

    monkeypatch.setattr(proof, "write_copies", no_client)
    copied = Consumer(
        name="client",
        uses=("client",),
        reload=("/bin/true",),
        timeout_s=5,
        verify_timeout_s=1,
        endpoints=(),
        copies=(
            Copy(
                path="client/certificate.pem",
                to=str(tmp_path / "copy.pem"),
                uid=os.geteuid(),
                gid=os.getegid(),
                mode=0o644,
            ),
        ),
    )
    state = await open_node(data, services(web(service.reload_script(tmp_path), service.port), copied))
    outcome = await install(state, bundle(1, client=OTHER))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(OLD.certificate_der)
    assert [one.part for one in outcome.report.refused] == ["client"]


async def test_no_service_loses_in_a_search_what_it_has_taken_of_the_first_bundle(data, service, tmp_path):
    https = web(service.reload_script(tmp_path), service.port)
    other = web(
        script(tmp_path / "other", "echo it is broken; exit 1"),
        None,
        "server",
        "client",
        name="other",
        endpoints=(),
    )
    state = await open_node(data, services(https, other))
    outcome = await install(state, bundle(1, client=OTHER))
    assert (outcome.result, outcome.reason) == ("failed", Reason.RELOAD_FAILED)
    assert outcome.report.applied is None
    assert outcome.report.last_failed.attempts == 1
    assert outcome.report.refused == []
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem, "all files are there to start on"
    assert outcome.report.serving[0].leaf == fingerprint_of(OLD.certificate_der)
    reopened = await open_node(data, state.services)
    assert reopened.local.unproven() == bundle(1, client=OTHER).manifest

    script(tmp_path / "other", "exit 0")
    again = await install(state, bundle(1, client=OTHER))
    assert (again.result, again.report.refused, service.reloads) == ("applied", [], 1)


class Killed(BaseException):
    """The agent is gone, and the journal has what it had."""


@pytest.mark.parametrize("reload", [1, 2, 3])
async def test_an_agent_that_is_killed_in_the_search_keeps_all_files_of_the_first_bundle(
    data, service, tmp_path, reload
):
    everything = web(
        script(tmp_path / "reload", "exit 1"), service.port, "server", "client", "trust", name="all"
    )
    peers = web(script(tmp_path / "peers", "exit 0"), None, "trust", name="peers", endpoints=())
    state = await open_node(data, services(everything, peers))
    reloads = []

    def say(phase, detail):
        if (phase, detail) == ("reload", "all"):
            reloads.append(detail)
            if len(reloads) == reload:
                raise Killed

    with pytest.raises(Killed):
        await Installer(state).install(
            command(bundle(1, client=OTHER)), accepted=lambda _: None, progress=say
        )
    again = await open_node(data, state.services)
    outcome = await Installer(again).resume(progress=ignore_progress)

    assert (outcome.result, outcome.report.applied, outcome.report.refused) == ("failed", None, [])
    assert live(data, "server/certificate.pem") == OLD.certificate_pem, "a service can be started on it"
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    assert again.local.unproven() == bundle(1, client=OTHER).manifest


async def test_the_only_service_of_a_slot_finds_all_files_though_another_runs_on_the_trust_store(
    data, service, tmp_path
):
    https = web(script(tmp_path / "https", "echo it is broken; exit 1"), service.port, "server")
    peers = web(script(tmp_path / "peers", f"echo x >>{tmp_path}/peers.calls"), None, "trust", name="peers")
    peers = replace(peers, endpoints=())
    state = await open_node(data, services(https, peers))
    outcome = await install(state, bundle(1, NEW))
    assert (outcome.result, outcome.reason, outcome.report.refused) == ("failed", Reason.RELOAD_FAILED, [])
    assert live(data, "server/certificate.pem") == NEW.certificate_pem, "it can be started on it"
    assert state.local.quarantined(bundle(1, NEW).manifest.digest, pki.NOW_S + 1) is not None
    assert calls_of(tmp_path, "peers") == 1, "who was not at fault has what it needs"

    # mended by hand: proven by its port, long before the next attempt
    service.load()
    await Upkeep(state).turn()
    assert state.local.applied() == bundle(1, NEW).manifest
    assert calls_of(tmp_path, "peers") == 1
