"""Services that do not run while a bundle is installed: on the first day, and for maintenance."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from common.ids import fingerprint_of
from demo.site import free_port
from nodeagent.core.services import Copy
from nodeagent.install import units
from nodeagent.install.upkeep import Upkeep
from nodeagent.install.watch import PortWatch
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OLD,
    OTHER,
    OWNERS,
    ROOT,
    TlsService,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
    with_trust,
)

SYSTEMCTL = """\
shift 3
separator=
for unit in "$@"; do
    printf "$separator"; separator='\\n'
    if [ -e {states}/$unit ]; then printf 'LoadState=loaded\\nActiveState=%s\\n' "$(cat {states}/$unit)"
    else printf 'LoadState=not-found\\nActiveState=inactive\\n'; fi
done
"""
"""Answers as systemd 252 does: a block for each unit, an empty line between two."""


@pytest.fixture
def unit(tmp_path, monkeypatch):
    """Set a unit's state, as systemd tells it."""
    states = tmp_path / "units"
    states.mkdir()
    program = script(tmp_path / "systemctl", SYSTEMCTL.format(states=states))
    monkeypatch.setattr(units, "SYSTEMCTL", str(program))
    return lambda name, state: (states / name).write_text(state)


def leaf_of(made):
    return fingerprint_of(made.certificate_der)


def waits(state):
    return {one.consumer: one.reason for one in state.local.report(0).waiting}


def ran(tmp_path, name: str) -> int:
    path = tmp_path / f"{name}.ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def counted(tmp_path, name: str, then: str = "exit 0"):
    """A command that counts its runs."""
    return script(tmp_path / name, f"echo x >>{tmp_path}/{name}.ran\n{then}")


def copy_for(tmp_path, name: str) -> Copy:
    return Copy(
        path="server/combined.pem",
        to=str(tmp_path / f"{name}.pem"),
        uid=OWNERS.uid,
        gid=OWNERS.gid,
        mode=0o400,
    )


@asynccontextmanager
async def started(tmp_path, port: int, made=None):
    """The service starts on the installed files (or on `made`) at its port."""
    service = TlsService(tmp_path / "data")
    async with service.run(OTHER, tmp_path, port=port) as running:
        if made is None:
            running.load()
        else:
            running.load_from(made, ROOT)
        yield running


async def first_day(tmp_path):
    """Two services that do not run, with a copy each, and reloads that fail for it."""
    ports = {"web": free_port(), "sip": free_port()}
    there = f"[ -s {tmp_path}/web.pem ] && [ -s {tmp_path}/sip.pem ] || echo early >>{tmp_path}/early\nexit 1"
    state = await open_node(
        tmp_path / "data",
        services(
            *(
                replace(
                    consumer(counted(tmp_path, name, there), port=port, name=name, verify_s=0.3),
                    copies=(copy_for(tmp_path, name),),
                )
                for name, port in ports.items()
            )
        ),
    )
    return state, ports


async def test_a_first_installation_writes_all_copies_before_any_reload(tmp_path):
    state, _ = await first_day(tmp_path)
    await install(state, real_bundle(NEW, 1))

    assert (ran(tmp_path, "web"), ran(tmp_path, "sip")) == (1, 1)
    assert not (tmp_path / "early").exists()


async def test_a_first_installation_while_no_service_runs_is_applied_and_waits_for_them(tmp_path):
    state, ports = await first_day(tmp_path)
    outcome = await install(state, real_bundle(NEW, 1))

    assert (outcome.result, outcome.reason) == ("applied", "")
    assert waits(state) == {"web": "service", "sip": "service"}
    assert f"nothing listens on 127.0.0.1:{ports['web']}" in outcome.message
    assert outcome.report.last_failed is None


async def test_a_service_that_starts_after_the_first_installation_is_proven_without_another_push(tmp_path):
    state, ports = await first_day(tmp_path)
    await install(state, real_bundle(NEW, 1))
    async with started(tmp_path, ports["web"]):
        await Upkeep(state).turn()
        assert waits(state) == {"sip": "service"}
        async with started(tmp_path, ports["sip"]):
            await Upkeep(state).turn()
            assert waits(state) == {}
            assert {seen.leaf for seen in state.local.serving} == {leaf_of(NEW)}


async def test_a_port_that_comes_up_is_seen_by_the_watch_and_a_quiet_one_is_left_alone(tmp_path):
    state, ports = await first_day(tmp_path)
    await install(state, real_bundle(NEW, 1))
    woken = []
    watch = PortWatch(state, lambda: woken.append(1))
    consumers = list(state.services.consumers)
    assert not await watch.probe(consumers)
    async with started(tmp_path, ports["web"]):
        assert await watch.probe(consumers)
        assert woken == [1]
        await Upkeep(state).turn()
        assert not await watch.probe(consumers)
        assert [one.name for one in watch.unsettled()] == ["sip"]
        async with started(tmp_path, ports["sip"]):
            await Upkeep(state).turn()
            assert watch.unsettled() == []


async def test_a_first_installation_goes_on_after_one_service_failed(tmp_path):
    async with started(tmp_path, port := free_port(), OTHER) as wrong:
        one = consumer(counted(tmp_path, "wrong", "exit 1"), port=port, name="wrong", verify_s=0.3)
        other = consumer(counted(tmp_path, "right"), name="right")
        state = await open_node(tmp_path / "data", services(one, other))
        outcome = await install(state, real_bundle(NEW, 1))
        assert (outcome.result, outcome.report.applied) == ("failed", None)
        assert (ran(tmp_path, "right"), list(state.file.journal.loaded)) == (1, ["right"])

        # once its administrator has put it right, the ports prove it
        wrong.load()
        await Upkeep(state).turn()
        assert state.local.applied().generation == 1
        assert state.local.report(0).last_failed is None
        assert (ran(tmp_path, "wrong"), ran(tmp_path, "right")) == (1, 1)


async def test_a_failed_first_installation_is_not_called_applied_while_a_port_shows_something_else(tmp_path):
    async with started(tmp_path, port := free_port(), OTHER):
        one = consumer(counted(tmp_path, "wrong", "exit 1"), port=port, name="wrong", verify_s=0.3)
        state = await open_node(tmp_path / "data", services(one))
        await install(state, real_bundle(NEW, 1))
        await Upkeep(state).turn()
        assert state.local.applied() is None


async def maintained(tmp_path, unit, state: str):
    """A node with two services; `sip` does not run any more when a renewal comes."""
    unit("sip.service", "active")
    port = free_port()
    web = consumer(counted(tmp_path, "web"), name="web")
    sip = replace(
        consumer(counted(tmp_path, "sip"), port=port, name="sip", verify_s=0.3),
        unit="sip.service",
        copies=(copy_for(tmp_path, "sip"),),
    )
    node = await open_node(tmp_path / "data", services(web, sip))
    async with started(tmp_path, port, OLD):
        assert (await install(node, real_bundle(OLD, 1))).message == ""
    unit("sip.service", state)
    return node, port


async def test_a_service_stopped_for_maintenance_is_left_alone_and_the_others_go_on(tmp_path, unit):
    node, port = await maintained(tmp_path, unit, "inactive")
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, ran(tmp_path, "web"), ran(tmp_path, "sip")) == ("applied", 2, 1)
    assert waits(node) == {"sip": "service"}
    assert "sip.service is stopped" in outcome.message
    assert (tmp_path / "sip.pem").read_text().startswith(NEW.certificate_pem)

    upkeep = Upkeep(node)
    await upkeep.turn()
    assert ran(tmp_path, "sip") == 1
    async with started(tmp_path, port):
        unit("sip.service", "active")
        await upkeep.turn()
        assert (waits(node), ran(tmp_path, "sip")) == ({}, 1)


async def test_a_rollback_does_not_start_who_was_stopped(tmp_path, unit):
    node, _ = await maintained(tmp_path, unit, "inactive")
    (tmp_path / "web").write_text("#!/bin/sh\nexit 3\n")
    node.services = services(
        *node.services.consumers, consumer(script(tmp_path / "bad", "exit 3"), name="bad")
    )
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, ran(tmp_path, "sip")) == ("failed", 1)
    assert (tmp_path / "sip.pem").read_text().startswith(OLD.certificate_pem)


@pytest.mark.parametrize("state", ["failed", "inactive"])
async def test_a_service_that_never_ran_is_started_where_a_start_is_declared(tmp_path, unit, state):
    unit("web.service", state)
    start = counted(tmp_path, "start", f"echo active >{tmp_path}/units/web.service")
    web = replace(consumer(counted(tmp_path, "reload"), name="web"), unit="web.service", start=(str(start),))
    node = await open_node(tmp_path / "data", services(web))
    outcome = await install(node, real_bundle(NEW, 1))

    assert (outcome.result, outcome.message) == ("applied", "")
    assert (ran(tmp_path, "start"), ran(tmp_path, "reload")) == (1, 0)
    assert "web" in node.file.journal.loaded


async def test_a_service_that_the_search_for_a_bad_part_started_is_reloaded_on_what_goes_live_at_last(
    tmp_path, unit
):
    served, runs = tmp_path / "served.pem", f"grep -q active {tmp_path}/units/web.service"
    take = f"cat {tmp_path}/data/current/server/certificate.pem >{served}"
    unit("web.service", "active")
    start = script(tmp_path / "start", f"{runs} && exit 0\n{take}; echo active >{tmp_path}/units/web.service")
    reload = script(tmp_path / "reload", f"{runs} || exit 1\n{take}")
    # no port would show what it serves
    web = replace(consumer(reload, name="web"), unit="web.service", start=(str(start),))
    peers = replace(
        consumer(script(tmp_path / "peers", "exit 0"), name="peers"), uses=("trust",), min_interval_s=0.0
    )
    node = await open_node(tmp_path / "data", services(web, peers))
    assert (await install(node, real_bundle(OLD, 1))).result == "applied"

    unit("web.service", "failed")
    added = with_trust(real_bundle(NEW, 2), ROOT.certificate_pem + pki.make_root("Bad").certificate_pem)
    script(
        tmp_path / "peers",
        f"[ $(grep -c BEGIN {tmp_path}/data/current/trust/ca-certificates.pem) = 1 ]",
    )
    outcome = await install(node, added)
    assert (outcome.result, [one.part for one in outcome.report.refused]) == ("applied", ["trust"])
    assert served.read_text() == NEW.certificate_pem, "starting what runs by now does nothing"


async def test_a_service_whose_unit_failed_is_started_on_renewed_files_and_one_that_stays_down_stops_nobody(
    tmp_path, unit
):
    node, _ = await maintained(tmp_path, unit, "failed")
    web, sip = node.services.consumers
    node.services = services(web, replace(sip, start=(str(counted(tmp_path, "start", "exit 1")),)))
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, ran(tmp_path, "start"), ran(tmp_path, "sip")) == ("applied", 1, 1)
    assert "sip.service has failed" in outcome.message


async def test_a_service_that_shows_a_certificate_is_never_called_stopped(tmp_path, unit):
    node, port = await maintained(tmp_path, unit, "inactive")
    async with started(tmp_path, port, OLD):
        outcome = await install(node, real_bundle(NEW, 2))
    # it runs, whatever its unit says, and did not take the new files
    assert (outcome.result, waits(node)) == ("rolled_back", {})


async def test_unit_states_are_read_for_each_unit_and_unknown_where_systemd_does_not_run(
    tmp_path, unit, monkeypatch
):
    unit("a.service", "active")
    unit("b.service", "failed")
    assert await units.unit_states(["a.service", "none.service", "b.service"]) == {
        "a.service": "running",
        "none.service": "missing",
        "b.service": "failed",
    }
    monkeypatch.setattr(units, "SYSTEMCTL", str(script(tmp_path / "no", "echo 'not booted' >&2; exit 1")))
    assert await units.unit_states(["a.service"]) == {}
    monkeypatch.setattr(units, "SYSTEMCTL", str(tmp_path / "missing"))
    assert await units.unit_states(["a.service"]) == {}


async def test_a_job_that_rests_between_two_changes_runs_at_each_of_them(tmp_path, unit):
    unit("job.service", "inactive")
    job = replace(consumer(counted(tmp_path, "job"), name="job"), unit="job.service")
    node = await open_node(tmp_path / "data", services(job))
    for generation, leaf in enumerate((OLD, NEW), 1):
        outcome = await install(node, real_bundle(leaf, generation))
        assert (outcome.result, outcome.message, ran(tmp_path, "job")) == ("applied", "", generation)
        assert waits(node) == {}

    # it is reloaded by the minute's work as well, and waits only if that fails
    node.services = services(job, replace(job, name="second"))
    await Upkeep(node).turn()
    assert ran(tmp_path, "job") == 3
    script(tmp_path / "job", "exit 1")
    outcome = await install(node, real_bundle(OTHER, 3))
    assert (outcome.result, waits(node)) == ("applied", {"job": "service", "second": "service"})

    unit("job.service", "failed")
    node.services = services(job)
    outcome = await install(node, real_bundle(NEW, 4))
    assert (outcome.result, outcome.phase) in {("rolled_back", "reload"), ("failed", "rollback")}
