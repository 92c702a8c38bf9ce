"""A part that OpenSSL or the node itself refuses is left out, and the others go live."""

import ssl

import pytest

from common.bundle.manifest import canonical
from common.errors import Reason
from common.ids import fingerprint_of
from common.wire.messages import Offer, Want, Welcome
from common.wire.receiver import Receiver
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    NODE,
    OLD,
    OTHER,
    ROOT,
    install,
    open_node,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import bundle, live, web

ANOTHER = pki.make_root("Another Root")
LATIN1 = ssl.DER_cert_to_PEM_cert(ROOT.certificate_der.replace(b"Root", b"R\xf6\xf6t"))
"""A CA with Latin-1 bytes in what it calls UTF-8, as a phone maker's device certificate has them."""


WITH_LATIN1 = (ROOT.certificate_pem, LATIN1)


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
    assert again.local.is_disk_right
    assert service.reloads == reloads
