"""One bad part of a bundle never stops the others: on a real tree, with real services and OpenSSL's own judgement."""

import os
import ssl
from dataclasses import replace

import msgspec
import pytest

from common.bundle.build import Bundle, SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import SlotFacts, canonical
from common.errors import BundleError, InstallError, Reason
from common.ids import digest_of, fingerprint_of
from common.wire.messages import Offer, Want, Welcome
from common.wire.receiver import Receiver
from nodeagent.core.services import Consumer, Copy
from nodeagent.install import proof
from nodeagent.install.installer import Installer
from nodeagent.install.state import ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NODE,
    ROOT,
    TlsService,
    command,
    consumer,
    install,
    open_node,
    script,
    services,
)

OLD = pki.make_leaf(ROOT, ["old.example.com"])
NEW = pki.make_leaf(ROOT, ["new.example.com"])
OTHER = pki.make_leaf(ROOT, ["other.example.com"])
NEXT = pki.make_leaf(ROOT, ["next.example.com"])
LATER = pki.make_leaf(ROOT, ["later.example.com"], not_before_s=pki.NOW_S + 240)
ANOTHER = pki.make_root("Another Root")

LATIN1 = ssl.DER_cert_to_PEM_cert(ROOT.certificate_der.replace(b"Root", b"R\xf6\xf6t"))
"""A CA with Latin-1 bytes in what it calls UTF-8, as a phone maker's device certificate has them."""


def bundle(
    generation: int,
    server: pki.Made | None = OLD,
    *,
    key_of: pki.Made | None = None,
    client: pki.Made | None = None,
    trusted: tuple[str, ...] = (ROOT.certificate_pem,),
) -> Bundle:
    slots = {}
    for slot, made, key in (("server", server, key_of), ("client", client, None)):
        if made is not None:
            facts = SlotFacts(
                leaf=fingerprint_of(made.certificate_der),
                not_before_s=int(made.certificate.not_valid_before_utc.timestamp()),
                not_after_s=int(made.certificate.not_valid_after_utc.timestamp()),
            )
            material = SlotMaterial(
                facts=facts,
                certificate_pem=made.certificate_pem,
                chain_pem=ROOT.certificate_pem,
                private_key_pem=(key or made).key_pem,
            )
            slots[slot] = (facts, slot_files(slot, material))
    trust = TrustMaterial(
        ca_certificates_pem="".join(trusted),
        custom_ca_pem="".join(trusted),
        intermediates_pem="",
        anchors=len(trusted),
    )
    return build_bundle(
        node=NODE, epoch=1, generation=generation, slots=slots, trust=trust_files(trust), anchors=len(trusted)
    )


WITH_LATIN1 = (ROOT.certificate_pem, LATIN1)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
async def service(data, tmp_path):
    async with TlsService(data).run(OTHER, tmp_path) as running:
        yield running


@pytest.fixture
async def node(data, service, tmp_path):
    """A node that runs generation 1; nginx-like, its service reads server and trust."""
    state = await open_node(data, services(web(service.reload_script(tmp_path), service.port)))
    assert (await install(state, bundle(1))).result == "applied"
    return state


def web(reload, port, *uses: str, **more) -> Consumer:
    base = consumer(reload, port=port)
    fields = {field: getattr(base, field) for field in base.__slots__}
    return Consumer(**{**fields, "uses": uses or ("server", "trust"), **more})


def live(data, path: str) -> str:
    return (data / "current" / path).read_text()


async def test_a_trusted_ca_that_openssl_refuses_does_not_keep_a_new_certificate_from_the_port(
    node, data, service
):
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cadata=LATIN1)
    outcome = await install(node, bundle(2, NEW, trusted=WITH_LATIN1))

    assert (outcome.result, outcome.report.applied.leaves["server"]) == (
        "applied",
        fingerprint_of(NEW.certificate_der),
    )
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)
    assert live(data, "trust/ca-certificates.pem") == ROOT.certificate_pem
    (refused,) = outcome.report.refused
    assert (refused.part, refused.reason, refused.file) == (
        "trust",
        Reason.PARSE,
        "trust/ca-certificates.pem",
    )
    assert refused.certificate.startswith("certificate 2 (")
    assert "R\ufffd\ufffdt" in refused.certificate, "it is named although its name cannot be read"
    for said in (outcome.message, outcome.report.last_failed.message):
        assert "trust/ca-certificates.pem, certificate 2" in said
        assert said.endswith("the trust store stays as it was")


async def test_what_is_applied_in_part_is_not_called_what_was_offered_and_is_offered_again(node):
    offered = bundle(2, NEW, trusted=WITH_LATIN1).manifest
    report = (await install(node, bundle(2, NEW, trusted=WITH_LATIN1))).report
    assert (report.applied.generation, report.disk) == (2, report.applied.digest)
    assert report.applied.digest != offered.digest
    assert report.last_failed.digest == offered.digest
    assert node.local.quarantined(offered.digest, pki.NOW_S + 59) is not None
    assert node.local.quarantined(offered.digest, pki.NOW_S + 61) is None
    receiver = Receiver(node=NODE, boot_id="b", instance="i", agent_version="0", local=node.local)
    receiver.connect(pki.NOW_S)
    receiver.receive(Welcome(verdict="ok"), b"", pki.NOW_S)
    offer = Offer(push_id="again", epoch=1, generation=2, digest=offered.digest)
    (answer, *_) = receiver.receive(offer, canonical(offered), pki.NOW_S + 61)
    assert isinstance(answer.message, Want)
    assert node.local.highest() == (1, 1), "the same generation is taken once more"


async def test_a_part_that_is_mended_is_installed_under_the_same_generation_or_the_next(node, data, service):
    await install(node, bundle(2, NEW, trusted=WITH_LATIN1))
    reloads = service.reloads
    outcome = await install(node, bundle(3, NEW, trusted=(ROOT.certificate_pem, ANOTHER.certificate_pem)))
    assert outcome.result == "applied"
    assert outcome.report.refused == []
    assert outcome.report.last_failed is None
    assert node.local.highest() == (1, 3)
    assert ANOTHER.certificate_pem in live(data, "trust/ca-certificates.pem")
    assert service.reloads == reloads + 1


async def test_a_bad_server_slot_does_not_keep_trust_and_client_from_going_live(node, data):
    trusted = (ROOT.certificate_pem, ANOTHER.certificate_pem)
    outcome = await install(node, bundle(2, NEW, key_of=OLD, client=OTHER, trusted=trusted))
    assert outcome.result == "applied"
    assert [(one.part, one.file) for one in outcome.report.refused] == [("server", "server/privkey.pem")]
    assert live(data, "server/certificate.pem") == OLD.certificate_pem
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    assert ANOTHER.certificate_pem in live(data, "trust/ca-certificates.pem")


async def test_on_a_new_node_a_bad_slot_is_left_out_and_a_bad_ca_is_left_out_of_the_trust_store(
    data, service, tmp_path
):
    state = await open_node(data, services(web(service.reload_script(tmp_path), service.port)))
    outcome = await install(state, bundle(1, NEW, key_of=OLD, client=OTHER, trusted=WITH_LATIN1))
    assert outcome.result == "applied"
    assert {one.part for one in outcome.report.refused} == {"server", "trust"}
    assert not (data / "current/server").exists()
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    assert live(data, "trust/ca-certificates.pem") == ROOT.certificate_pem
    assert service.reloads == 0, "a service that needs a certificate is not reloaded without one"
    outcome = await install(state, bundle(2, NEW, client=OTHER))
    assert outcome.result == "applied"
    assert outcome.report.serving[0].leaf == fingerprint_of(NEW.certificate_der)


async def test_a_partial_installation_survives_a_restart_and_is_at_rest(node, data, service):
    outcome = await install(node, bundle(2, NEW, trusted=WITH_LATIN1))
    reloads = service.reloads
    again = await open_node(data, node.services)
    await Upkeep(again).turn()
    assert again.local.applied().digest == outcome.report.applied.digest
    assert again.local.report(pki.NOW_S).refused == outcome.report.refused
    assert again.local.is_disk_right()
    assert service.reloads == reloads


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


def refusing_two(tmp_path, data, pid: int):
    """A reload that refuses a trust store, and one client certificate."""
    (tmp_path / "client.pem").write_text(NEXT.certificate_pem)
    return script(
        tmp_path / "reload",
        f"grep -q POISON {data}/current/trust/intermediates.pem && {{ echo no trust; exit 1; }}\n"
        f"cmp -s {data}/current/client/certificate.pem {tmp_path}/client.pem && {{ echo no client; exit 1; }}\n"
        f"kill -HUP {pid}",
    )


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


async def test_a_certificate_of_the_near_future_waits_and_the_rest_goes_live(node, data):
    outcome = await install(node, bundle(2, LATER, client=OTHER))
    assert outcome.result == "applied"
    assert live(data, "server/certificate.pem") == OLD.certificate_pem
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    failed = outcome.report.last_failed
    assert (failed.reason, failed.retry_after_s) == (Reason.NOT_YET_VALID, 60)
    node.clock = lambda: pki.NOW_S + 239
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER, client=OTHER))
    assert refused.value.reason == Reason.NOT_YET_VALID
    assert node.local.report(pki.NOW_S + 239).last_failed.retry_after_s == 1
    node.clock = lambda: pki.NOW_S + 240
    outcome = await install(node, bundle(2, LATER, client=OTHER))
    assert outcome.result == "applied"
    assert outcome.report.refused == []
    assert live(data, "server/certificate.pem") == LATER.certificate_pem


@pytest.mark.parametrize(
    ("ahead_s", "reason"), [(-240, None), (0, Reason.NOT_YET_VALID), (240, Reason.NOT_YET_VALID)]
)
async def test_a_measured_difference_of_the_clocks_is_allowed_for_and_no_other(node, ahead_s, reason):
    node.skew_s = ahead_s
    if reason is None:
        assert (await install(node, bundle(2, LATER))).result == "applied"
        return
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER))
    assert refused.value.reason == reason


async def test_a_clock_that_runs_ahead_does_not_let_a_certificate_in_before_its_time(node):
    node.clock = lambda: pki.NOW_S + 250
    node.skew_s = 250
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER))
    assert refused.value.reason == Reason.NOT_YET_VALID


# -- the first installation, where there is nothing to go back to


def told(tmp_path, name: str, text: str) -> Consumer:
    """A service without ports that uses the client certificate, and keeps a note of each of its reloads."""
    return web(
        script(tmp_path / name, f"echo x >> {tmp_path / name}.calls; {text}"),
        None,
        "client",
        name=name,
        endpoints=(),
    )


def calls_of(tmp_path, name: str) -> int:
    return len((tmp_path / f"{name}.calls").read_text().splitlines())


async def test_one_service_at_fault_does_not_keep_the_first_bundle_from_the_others(data, service, tmp_path):
    https = web(service.reload_script(tmp_path), service.port)
    state = await open_node(data, services(https, told(tmp_path, "client", "echo no client; exit 1")))
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
    state = await open_node(data, services(https, told(tmp_path, "client", "echo no client; exit 1")))
    await install(state, bundle(1, client=OTHER))
    state.clock = lambda: pki.NOW_S + 61
    again = await install(state, bundle(1, client=OTHER))
    assert (again.result, again.report.applied.generation) == ("rolled_back", 1)
    assert again.report.last_failed.attempts == 2
    assert service.reloads == 1, "the other service has what it needs"

    told(tmp_path, "client", "exit 0")
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
            raise InstallError("the disk refused the copy", reason=Reason.INTERNAL)

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


def copied_client(tmp_path, to, text: str, name: str = "client") -> Consumer:
    copy = Copy(path="client/combined.pem", to=str(to), uid=os.geteuid(), gid=os.getegid(), mode=0o400)
    return replace(told(tmp_path, name, text), copies=(copy,))


async def test_a_copy_of_a_slot_that_was_left_out_stays_nowhere_neither_at_first_nor_after_a_retry(
    data, service, tmp_path
):
    to = tmp_path / "client.pem"
    https = web(service.reload_script(tmp_path), service.port)
    failing = copied_client(tmp_path, to, f"grep -q 'PRIVATE KEY' {to} && echo x >>{tmp_path}/saw; exit 1")
    state = await open_node(data, services(https, failing))
    for now_s, result in ((pki.NOW_S, "applied"), (pki.NOW_S + 61, "rolled_back")):
        state.clock = lambda now_s=now_s: now_s
        outcome = await install(state, bundle(1, client=OTHER))
        assert outcome.result == result
        assert [one.part for one in outcome.report.refused] == ["client"]
        assert not to.exists(), "nothing that is installed stands behind it"
    assert (tmp_path / "saw").read_text() == "x\nx\n", "the service was asked with its copy each time"

    copied_client(tmp_path, to, "exit 0")
    state.clock = lambda: pki.NOW_S + 500
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    assert OTHER.key_pem in to.read_text()


async def test_a_file_that_somebody_else_put_in_the_place_of_a_copy_is_not_removed(data, service, tmp_path):
    to = tmp_path / "client.pem"
    https = web(service.reload_script(tmp_path), service.port)
    failing = copied_client(tmp_path, to, f"rm -f {to}; echo mine >{to}; exit 1")
    state = await open_node(data, services(https, failing))
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    assert to.read_text() == "mine\n"


async def test_a_failed_first_bundle_names_the_service_whose_copy_has_no_place(data, service, tmp_path):
    to = tmp_path / "nowhere/client.pem"
    https = web(script(tmp_path / "https", "echo it is broken; exit 1"), service.port, "server")
    state = await open_node(data, services(https, copied_client(tmp_path, to, "exit 0")))
    outcome = await install(state, bundle(1, NEW))
    assert outcome.result == "failed"
    assert outcome.report.waiting == [], "it uses nothing of this bundle"
    outcome = await install(state, bundle(2, NEW, client=OTHER))
    assert outcome.result == "failed"
    (waiting,) = outcome.report.waiting
    assert (waiting.consumer, waiting.reason) == ("client", "service")
    assert "there is no directory" in waiting.message
    await Upkeep(state).turn()
    assert [one.consumer for one in state.local.report(pki.NOW_S).waiting] == ["client"]
    reopened = await open_node(data, state.services)
    await Upkeep(reopened).turn()
    assert [one.consumer for one in reopened.local.report(pki.NOW_S).waiting] == ["client"]

    # as after an installation that succeeds, who has no place keeps nobody from being proven
    service.load()
    await Upkeep(reopened).turn()
    assert reopened.local.applied() == bundle(2, NEW, client=OTHER).manifest
    assert [one.consumer for one in reopened.local.report(pki.NOW_S).waiting] == ["client"]
    to.parent.mkdir()
    await Upkeep(reopened).turn()
    assert OTHER.key_pem in to.read_text()
    assert reopened.local.report(pki.NOW_S).waiting == []
