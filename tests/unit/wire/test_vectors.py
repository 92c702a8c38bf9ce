"""The wire format and the manifest, byte by byte. A change here is a change of the protocol."""

from pathlib import Path

import msgspec
import pytest

from common.bundle.manifest import canonical
from common.pki.strictness import ANSWER_MAX_CHARS
from common.wire import messages as m
from common.wire.challenges import Challenge, Challenges, ChallengesKept, NotKept
from common.wire.contact import Contact
from common.wire.fields import PART_TEXT_MAX_CHARS
from nodeagent.core.services import CONSUMERS_MAX, ENDPOINTS_MAX
from nodeagent.install.probe import MESSAGE_MAX_CHARS
from nodeagent.install.stopped import WAIT_MAX_CHARS
from nodeagent.selfcheck import FAULT_MAX_CHARS
from tests.bundles import opaque_bundle

VECTORS = Path(__file__).parents[2] / "vectors"

REPORT = m.Report(
    applied=m.Applied(epoch=1, generation=41, digest="ab" * 32, leaves={"server": "cd" * 32}),
    last_failed=m.Failure(
        epoch=1,
        generation=40,
        digest="ef" * 32,
        result="rolled_back",
        phase="verify",
        reason="verify_mismatch",
        message="old leaf",
        at_s=5.0,
        attempts=2,
        retry_after_s=60.0,
    ),
    serving=[
        m.Serving(
            consumer="web",
            endpoint="127.0.0.1:443",
            slot="server",
            leaf="cd" * 32,
            not_after_s=9,
            tls="TLSv1.3",
            sent=2,
            strict_client="",
            stapled=False,
        )
    ],
    disk="ab" * 32,
    drifts=1,
    clock_s=6.5,
    waiting=[
        m.Waiting(consumer="sip", since_s=7.0, reason="window", message="02:00-04:00"),
        m.Waiting(consumer="web", since_s=7.5, reason="service", message="web.service is stopped"),
    ],
    configuration=[m.ConfigurationFault(code="services_invalid", message="line 3")],
    refused=[
        m.PartRefused(
            part="trust",
            digest="ef" * 32,
            reason="parse",
            message="it cannot be loaded",
            file="trust/ca-certificates.pem",
            certificate="certificate 3",
            attempts=2,
            retry_after_s=60.0,
        )
    ],
)

CONTACT = Contact(
    addresses=["m.example:9422", "[2001:db8::1]:9422"], host_keys=["ssh-ed25519 AAAA", "ssh-ed25519 BBBB"]
)

MESSAGES = {
    "hello": m.Hello(
        protocol=1,
        node="n1",
        boot_id="b",
        agent_version="0.1.0",
        instance="i",
        accepts_carried=True,
        report=REPORT,
        contact=CONTACT,
        challenges_held=2,
    ),
    "welcome": m.Welcome(verdict="ok", server_time_s=1.5, epoch=1, contact=CONTACT),
    "offer": m.Offer(
        push_id="p",
        epoch=1,
        generation=42,
        digest="ab" * 32,
        forced=True,
        confirmed_anchors=7,
        carried=["cd" * 32],
    ),
    "want": m.Want(push_id="p", digests=["ab" * 32]),
    "payload": m.Payload(push_id="p", digest="ab" * 32),
    "accepted": m.Accepted(push_id="p", within_s=60.0),
    "rejected": m.Rejected(push_id="p", reason="bad_digest", message="no", retry_after_s=1.0),
    "progress": m.Progress(push_id="p", phase="reload", detail="nginx"),
    "outcome": m.Outcome(
        push_id="p",
        epoch=1,
        generation=42,
        digest="ab" * 32,
        result="applied",
        phase="commit",
        duration_ms=7,
        reloads=1,
        diagnostics="files:",
        report=REPORT,
    ),
    "outcome_ack": m.OutcomeAck(push_id="p"),
    "tick": m.Tick(report=REPORT, contact=CONTACT),
    "tock": m.Tock(server_time_s=2.5, epoch=1, contact=CONTACT),
    "goodbye": m.Goodbye(reason="busy", retry_after_s=2.0),
    "challenges": Challenges(
        number=3, challenges=[Challenge(token="t-1_A", text="t-1_A.thumb", expires_in_s=3600.0)]
    ),
    "challenges_kept": ChallengesKept(number=3, not_kept=[NotKept(token="t-1_A", message="no room")]),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_has_the_bytes_it_always_had(name: str):
    assert m.encode(MESSAGES[name], b"blob" if name == "payload" else b"").hex() == (
        (VECTORS / f"{name}.hex").read_text().replace("\n", "")
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_the_recorded_bytes_are_still_read(name: str):
    frame = bytes.fromhex((VECTORS / f"{name}.hex").read_text())
    header_length = int.from_bytes(frame[4:6], "big")
    assert m.decode(frame[6 : 6 + header_length]) == MESSAGES[name]


@pytest.mark.parametrize("name", ["hello", "outcome", "tick"])
def test_a_service_that_is_waited_for_is_told_where_a_manager_of_an_earlier_release_does_not_stumble(
    name: str,
):
    frame = m.encode(MESSAGES[name])
    said = msgspec.msgpack.decode(frame[6 : 6 + int.from_bytes(frame[4:6], "big")])["report"]
    assert {one["reason"] for one in said["waiting"]} <= {"window", "interval"}
    assert [one["reason"] for one in said["stopped"]] == ["service"]


@pytest.mark.parametrize("name", ["hello", "outcome", "tick"])
def test_what_an_agent_said_before_fields_were_added_is_still_read(name: str):
    frame = bytes.fromhex((VECTORS / f"earlier/{name}.hex").read_text())
    header_length = int.from_bytes(frame[4:6], "big")
    report = m.decode(frame[6 : 6 + header_length]).report
    assert report.last_failed == REPORT.last_failed
    assert (report.waiting, report.serving[0].tls, report.serving[0].strict_client) == ([], "", None)
    assert (report.configuration, report.serving[0].stapled) == ([], None)
    assert report.refused == []


def test_an_agent_of_an_earlier_release_is_not_sent_what_it_has_not_asked_for():
    frame = bytes.fromhex((VECTORS / "earlier/hello.hex").read_text())
    hello = m.decode(frame[6 : 6 + int.from_bytes(frame[4:6], "big")])
    assert (hello.accepts_carried, hello.challenges_held) == (False, None)


@pytest.mark.parametrize("name", ["hello", "welcome", "tick", "tock"])
def test_who_says_nothing_of_addresses_announces_and_confirms_none(name: str):
    frame = bytes.fromhex((VECTORS / f"earlier/{name}.hex").read_text())
    assert m.decode(frame[6 : 6 + int.from_bytes(frame[4:6], "big")]).contact is None


@pytest.mark.parametrize("name", ["welcome", "tock"])
def test_an_agent_of_an_earlier_release_reads_what_it_always_read(name: str):
    earlier = msgspec.defstruct(
        f"Earlier{name.title()}",
        [("verdict", str, ""), ("server_time_s", float), ("epoch", int), ("retry_after_s", float, 0.0)],
        tag_field="t",
        tag=name,
        kw_only=True,
    )
    frame = m.encode(MESSAGES[name])
    read = msgspec.msgpack.decode(frame[6 : 6 + int.from_bytes(frame[4:6], "big")], type=earlier)
    assert (read.server_time_s, read.epoch) == (MESSAGES[name].server_time_s, 1)


def test_an_offer_of_an_earlier_manager_says_nothing_of_what_an_operator_confirmed_and_carries_nothing():
    frame = bytes.fromhex((VECTORS / "earlier/offer.hex").read_text())
    header_length = int.from_bytes(frame[4:6], "big")
    assert m.decode(frame[6 : 6 + header_length]) == msgspec.structs.replace(
        MESSAGES["offer"], confirmed_anchors=None, carried=[]
    )


def test_the_longest_report_with_diagnostics_fits_into_a_frame():
    seen = m.Serving(
        consumer="c" * 63,
        endpoint="e" * 128,
        slot="server",
        leaf="a" * 64,
        not_after_s=253_402_300_799,
        at_s=1.5,
        reason="verify_unreachable",
        message="m" * MESSAGE_MAX_CHARS,
        tls="TLSv1.3",
        sent=10,
        strict_client="s" * ANSWER_MAX_CHARS,
    )
    fault = m.ConfigurationFault(code="services_invalid", message="m" * FAULT_MAX_CHARS)
    waiting = m.Waiting(consumer="c" * 63, since_s=1.5, reason="interval", message="w" * WAIT_MAX_CHARS)
    refused = msgspec.structs.replace(
        REPORT.refused[0],
        message="m" * PART_TEXT_MAX_CHARS,
        file="trust/ca-certificates.pem",
        certificate="c" * PART_TEXT_MAX_CHARS,
    )
    report = msgspec.structs.replace(
        REPORT,
        serving=[seen] * ENDPOINTS_MAX,
        waiting=[waiting] * CONSUMERS_MAX,
        configuration=[fault] * m.CONFIGURATION_FAULTS_MAX,
        refused=[refused] * 3,
    )
    outcome = msgspec.structs.replace(
        MESSAGES["outcome"], report=report, message="m" * 512, diagnostics="d" * m.DIAGNOSTICS_MAX_BYTES
    )
    frame = m.encode(outcome)
    assert m.decode(frame[6:]) == outcome


def test_every_message_has_a_vector():
    assert {kind.__struct_config__.tag for kind in m.Message.__args__} == set(MESSAGES)


def test_the_manifest_has_the_bytes_and_digest_it_always_had():
    manifest = opaque_bundle(generation=42).manifest
    recorded = msgspec.json.decode((VECTORS / "manifest.json").read_bytes())
    assert canonical(manifest) == (VECTORS / "manifest.json").read_bytes().rstrip(b"\n")
    assert recorded["generation"] == 42
    assert manifest.digest == (VECTORS / "manifest.digest").read_text().strip()
