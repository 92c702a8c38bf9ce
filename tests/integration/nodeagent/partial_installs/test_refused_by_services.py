"""A part that a service refuses is searched for, and the others go live."""

import os

import msgspec

from common.bundle.build import Bundle
from common.errors import Reason
from common.ids import digest_of, fingerprint_of
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OLD,
    OTHER,
    ROOT,
    install,
    open_node,
    script,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import NEXT, bundle, live, refusing_two, web


def nginx(tmp_path, data, pid: int) -> object:
    """A reload that refuses a trust store as nginx does, by OpenSSL's word, before it takes anything."""
    return script(
        tmp_path / "reload",
        f"grep -q POISON {data}/current/trust/intermediates.pem && "
        f"{{ echo 'SSL_CTX_load_verify_locations failed'; exit 1; }}\nkill -HUP {pid}",
    )


def poisoned(generation: int, server: pki.Made, **more) -> Bundle:
    """A trust store that only the service refuses."""
    made = bundle(generation, server, **more)
    path = "trust/intermediates.pem"
    return swapped(made, path, ROOT.certificate_pem.encode() + b"# POISON\n")


def swapped(made: Bundle, path: str, body: bytes) -> Bundle:
    entries = tuple(
        msgspec.structs.replace(one, digest=digest_of(body), size_bytes=len(body))
        if one.path == path
        else one
        for one in made.manifest.entries
    )
    return Bundle(
        msgspec.structs.replace(made.manifest, entries=entries), {**made.payloads, digest_of(body): body}
    )


async def test_the_part_that_a_service_refuses_is_found_and_the_others_go_live(node, data, service, tmp_path):
    nginx(tmp_path, data, os.getpid())
    outcome = await install(node, poisoned(2, NEW))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)
    (refused,) = outcome.report.refused
    assert (refused.part, refused.reason) == ("trust", Reason.RELOAD_FAILED)
    assert "SSL_CTX_load_verify_locations failed" in refused.message
    assert outcome.report.last_failed.attempts == 1, "one offer is one failure, however many attempts it took"


async def test_two_parts_that_one_service_refuses_do_not_keep_the_third_from_going_live(
    data, service, tmp_path
):
    everything = web(service.reload_script(tmp_path), service.port, "server", "client", "trust")
    state = await open_node(data, services(everything))
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    refusing_two(tmp_path, data, os.getpid())
    outcome = await install(state, poisoned(2, NEW, client=NEXT))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)
    assert {one.part for one in outcome.report.refused} == {"client", "trust"}
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    assert outcome.report.last_failed.attempts == 1


async def test_parts_that_two_services_refuse_are_found_one_after_the_other_each_with_its_own_words(
    data, service, tmp_path
):
    https = web(service.reload_script(tmp_path), service.port, "server")
    client = web(script(tmp_path / "client", "exit 0"), None, "client", name="client", endpoints=())
    trust = web(script(tmp_path / "trust", "exit 0"), None, "trust", name="trust", endpoints=())
    state = await open_node(data, services(client, trust, https))
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    (tmp_path / "client.pem").write_text(NEXT.certificate_pem)
    script(
        tmp_path / "client",
        f"cmp -s {data}/current/client/certificate.pem {tmp_path}/client.pem && {{ echo no client; exit 1; }}; exit 0",
    )
    script(
        tmp_path / "trust", f"grep -q POISON {data}/current/trust/* && {{ echo no trust; exit 1; }}; exit 0"
    )
    outcome = await install(state, poisoned(2, NEW, client=NEXT))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)
    said = {one.part: one.message for one in outcome.report.refused}
    assert said.keys() == {"client", "trust"}
    assert "no client" in said["client"]
    assert "no trust" in said["trust"]


async def test_other_content_does_not_try_a_part_again_that_a_service_refused_a_moment_ago(
    node, data, service, tmp_path
):
    nginx(tmp_path, data, os.getpid())
    assert (await install(node, poisoned(2, OLD))).result == "rolled_back"
    outcome = await install(node, poisoned(3, NEW))
    assert (outcome.result, outcome.reloads) == ("applied", 1)
    assert [one.part for one in outcome.report.refused] == ["trust"]
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)


async def test_a_service_that_takes_no_part_is_rolled_back_and_the_first_reason_is_told(node, tmp_path):
    script(tmp_path / "reload", "echo it is broken; exit 1")
    outcome = await install(node, poisoned(2, NEW))
    assert (outcome.result, outcome.reason, outcome.report.applied.generation) == (
        "rolled_back",
        Reason.RELOAD_FAILED,
        1,
    )
    assert outcome.report.last_failed.attempts == 1
    assert outcome.report.refused == []


async def test_a_service_whose_reload_drops_calls_is_not_reloaded_again_for_the_search(
    data, service, tmp_path
):
    calls = tmp_path / "calls"
    sip = web(
        script(
            tmp_path / "sip",
            f"echo reload >> {calls}; grep -q POISON {data}/current/trust/* && exit 1; exit 0",
        ),
        None,
        "trust",
        name="sip",
        endpoints=(),
        impact="drops_calls",
        min_interval_s=3600,
    )
    https = web(service.reload_script(tmp_path), service.port, "server")
    state = await open_node(data, services(https, sip))
    assert (await install(state, bundle(1))).result == "applied"
    state.clock = lambda: pki.NOW_S + 7200
    outcome = await install(state, poisoned(2, NEW))
    assert outcome.result == "applied"
    assert [one.part for one in outcome.report.refused] == ["trust"]
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)
    assert calls.read_text().splitlines() == ["reload"] * 3, "one at first, one forward, one back"
