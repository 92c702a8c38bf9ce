"""What the prober sees on real sockets: clear-text beginnings, chains, and what a strict client says."""

import asyncio
import ssl

import pytest

from common.errors import Reason
from common.ids import fingerprint_of
from common.pki.strictness import Strictness
from common.wire.messages import Report
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.install.probe import Prober
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration import starttls_services as spoken
from tests.integration.agent_parts import (
    OTHER,
    ROOT,
    TlsService,
    chained_bundle,
    consumer,
    impatient,
    install,
    open_node,
    real_bundle,
    script,
    services,
)
from tests.patience import PATIENCE_S

INTERMEDIATE = pki.make_intermediate(ROOT)
LEAF = pki.make_leaf(INTERMEDIATE, ["chat.example.com"])


def leaf_of(made):
    return fingerprint_of(made.certificate_der)


def asked(protocol: str, port: int, **what) -> Consumer:
    endpoint = Endpoint(host="127.0.0.1", port=port, protocol=protocol, sni="chat.example.com", **what)
    return Consumer(
        name="one",
        uses=("server",),
        reload=("/bin/true",),
        timeout_s=5,
        verify_timeout_s=5,
        endpoints=(endpoint,),
    )


@pytest.fixture
def context(tmp_path):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = tmp_path / "served.pem"
    pem.write_text(LEAF.certificate_pem + INTERMEDIATE.certificate_pem + LEAF.key_pem)
    made.load_cert_chain(pem)
    return made


@pytest.mark.parametrize(
    ("protocol", "speak"), [("smtp", spoken.smtp), ("ldap", spoken.ldap), ("xmpp", spoken.xmpp)]
)
async def test_a_service_that_upgrades_to_tls_is_seen_with_its_chain(protocol, speak, context):
    async with spoken.serve(speak, context) as port:
        (seen,) = await Prober().probe([asked(protocol, port)], {})

    assert (seen.leaf, seen.sent, seen.tls, seen.reason) == (leaf_of(LEAF), 1, "TLSv1.3", "")
    assert seen.not_after_s == int(LEAF.certificate.not_valid_after_utc.timestamp())


@pytest.mark.services("openssl")
@pytest.mark.parametrize(
    ("protocol", "speak"), [("smtp", spoken.smtp), ("ldap", spoken.ldap), ("xmpp", spoken.xmpp)]
)
async def test_openssl_agrees_that_these_services_upgrade_to_tls(protocol, speak, context):
    async with spoken.serve(speak, context) as port:
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", protocol),
            *("-xmpphost", "chat.example.com", "-brief") if protocol == "xmpp" else ("-brief",),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    assert "Protocol version: TLSv1.3" in out.decode().splitlines()


@pytest.mark.parametrize(
    ("protocol", "speak", "sentence"),
    [
        ("smtp", spoken.smtp_without, "does not offer STARTTLS"),
        ("smtp", spoken.endless, "sends too much"),
        ("smtp", spoken.xmpp_without, "did not answer"),
        ("ldap", spoken.ldap_without, "refuses StartTLS (result 52)"),
        ("ldap", spoken.ldap_with_a_long_result, "refuses StartTLS (result 2139062143)"),
        ("ldap", spoken.smtp_without, "cannot be read"),
        ("xmpp", spoken.xmpp_without, "does not offer STARTTLS for 'chat.example.com'"),
        ("xmpp", spoken.endless, "sends too much"),
        ("smtp", spoken.silent, "did not answer"),
        ("https", spoken.smtp, ""),
    ],
)
async def test_a_service_that_does_not_upgrade_is_unreachable_with_the_reason(
    protocol, speak, sentence, context
):
    # who says nothing is waited for in vain, and whatever is said is heard to its end
    timeout_s = 0.4 if sentence == "did not answer" else PATIENCE_S
    async with spoken.serve(speak, context) as port:
        (seen,) = await Prober().probe([asked(protocol, port)], {}, timeout_s=timeout_s)

    assert seen.leaf == ""
    assert seen.reason in {Reason.VERIFY_UNREACHABLE, Reason.VERIFY_TIMEOUT}
    assert sentence in seen.message


@pytest.fixture
async def service(tmp_path):
    async with TlsService(tmp_path / "data").run(OTHER, tmp_path) as running:
        yield running


@pytest.fixture
async def node(service, tmp_path):
    """A node that serves a leaf whose intermediate is not there yet."""
    one = consumer(service.reload_script(tmp_path), port=service.port)
    state = await open_node(tmp_path / "data", services(one))
    assert (await install(state, chained_bundle(LEAF, 1, chain=[]))).result == "applied"
    return state


def report(node) -> Report:
    return node.local.report(0)


async def test_a_reload_that_changed_only_the_chain_is_proven(node):
    outcome = await install(node, chained_bundle(LEAF, 2, chain=[INTERMEDIATE]))

    assert (outcome.result, outcome.reloads) == ("applied", 1)
    assert [(seen.leaf, seen.sent) for seen in outcome.report.serving] == [(leaf_of(LEAF), 1)]


async def test_a_reload_that_does_not_take_the_new_chain_is_rolled_back_although_the_leaf_is_right(
    node, tmp_path
):
    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    outcome = await install(node, chained_bundle(LEAF, 2, chain=[INTERMEDIATE]))

    assert (outcome.result, outcome.phase, outcome.reason) == (
        "rolled_back",
        "verify",
        Reason.CHAIN_INCOMPLETE,
    )
    assert "without 1 of 1 further certificate of its chain" in outcome.message


async def test_a_chain_that_got_shorter_must_be_seen_shorter(node, tmp_path):
    extra = pki.make_intermediate(ROOT, name="Unused")
    await install(node, chained_bundle(LEAF, 2, chain=[INTERMEDIATE, extra]))
    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    outcome = await install(node, chained_bundle(LEAF, 3, chain=[INTERMEDIATE]))

    assert (outcome.result, outcome.reason) == ("rolled_back", Reason.VERIFY_MISMATCH)


async def test_where_a_service_is_known_to_send_no_chain_its_leaf_is_enough(node, service, tmp_path):
    before = node.services.consumers[0]
    endpoint = Endpoint(host="127.0.0.1", port=service.port, protocol="https", chain=False)
    node.services = services(
        Consumer(
            name="web",
            uses=("server",),
            reload=before.reload,
            timeout_s=5,
            verify_timeout_s=1,
            endpoints=(endpoint,),
        )
    )
    script(tmp_path / "reload", "exit 0")
    assert (await install(node, chained_bundle(LEAF, 2, chain=[INTERMEDIATE]))).result == "applied"


async def test_what_a_strict_client_would_say_of_a_port_is_reported(node):
    assert report(node).serving[0].strict_client is None
    await Upkeep(node).turn()
    # the test's root is trusted, but nobody sends the intermediate
    assert report(node).serving[0].strict_client not in {None, ""}

    await install(node, chained_bundle(LEAF, 2, chain=[INTERMEDIATE]))
    await Upkeep(node).turn()
    assert report(node).serving[0].strict_client == ""


def test_a_strict_client_is_asked_again_after_an_hour_or_when_the_trust_store_changed():
    strictness = Strictness()
    chain = (OTHER.certificate_der,)
    trust = ROOT.certificate_pem.encode()
    later_s = OTHER.certificate.not_valid_after_utc.timestamp() + 10
    assert strictness.known(chain, None) is None
    assert strictness.ask(trust, pki.NOW_S)
    assert strictness.known(chain, None) == ""
    assert not strictness.ask(trust, pki.NOW_S + 3599)
    assert strictness.ask(b"", pki.NOW_S + 10)
    assert strictness.known(chain, None) == "no root is trusted"
    assert strictness.ask(trust, later_s)
    assert "valid" in strictness.known(chain, None)


async def test_a_service_that_was_restarted_on_an_old_file_is_found_reloaded_and_counted(node, service):
    await install(node, real_bundle(OTHER, 2))
    service.load_from(LEAF, INTERMEDIATE)
    assert report(node).drifts == 0
    await Upkeep(node).turn()

    assert [seen.leaf for seen in report(node).serving] == [leaf_of(OTHER)]
    assert report(node).drifts == 1


async def test_a_service_that_keeps_serving_an_old_file_is_reported_and_tried_again_later_each_time(
    node, service, tmp_path
):
    script(tmp_path / "reload", f"echo x >>{tmp_path}/count")
    service.load_from(OTHER)
    node.services = services(consumer(tmp_path / "reload", port=service.port, verify_s=0.2))
    upkeep = Upkeep(node)
    for after_s, count in ((0, 1), (30, 1), (61, 2), (300, 2), (362, 3)):
        node.clock = lambda now_s=pki.NOW_S + after_s: now_s
        await upkeep.turn()
        assert len((tmp_path / "count").read_text().split()) == count, after_s

    assert [seen.leaf for seen in report(node).serving] == [leaf_of(OTHER)]
    assert report(node).drifts == 0


async def test_a_service_that_is_stopped_is_not_started_again_behind_its_administrators_back(
    node, service, tmp_path
):
    script(tmp_path / "reload", f"echo x >>{tmp_path}/count")
    service.stop()
    await Upkeep(node).turn()

    assert not (tmp_path / "count").exists()
    assert report(node).serving[0].reason == Reason.VERIFY_UNREACHABLE
