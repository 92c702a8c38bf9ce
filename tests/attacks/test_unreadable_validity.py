"""A validity that tells no date is neither past nor to come: no door calls it expired, counts it as 1970 or adds it up, and all say what it is."""

import dataclasses
import re
import secrets
import sqlite3
import time
from contextlib import closing

import msgspec
import pytest
from alembic import command
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.api.certificates import CertificateAnswer
from common.api.codes import Role, StatusCode
from common.bundle.build import SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import SlotFacts
from common.bundle.verify import find_faults
from common.errors import Reason
from common.ids import NodeName
from common.pki.certificate import Certificate, decode
from common.pki.expiry import Nearness, as_number
from common.pki.finding import LintCode, Severity
from common.pki.frame import read_frame
from common.pki.strict import StrictClient
from manager.cli.certificate_tables import expiry
from manager.domain.alarms import AlarmKind
from manager.domain.publishing import unpublishable
from manager.domain.report import Serving
from manager.pki.judge.lint import lint
from manager.pki.judge.status import nearness_of, statuses
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.integration.web import visitor
from tests.odd import EKU, GENERALIZED, KEY, NAMES, UTC, certificate, extension, name, seq, spki

pytestmark = pytest.mark.timeout(120)

ROOT, ISSUER = pki.current_ca("Dates")
SERVER_AUTH = extension(EKU, seq(bytes.fromhex("06082b06010505070301")))
THIRTEENTH = (UTC, "281301000000Z")
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ODD_TIMES = {
    "a thirteenth month": {"not_after": THIRTEENTH},
    "a thirteenth month at the beginning": {"not_before": (UTC, "251320010203Z")},
    "the thirtieth of February": {"not_after": (UTC, "280230000000Z")},
    "a sixty-first second": {"not_after": (UTC, "280101000060Z")},
    "the year 0": {"not_before": (GENERALIZED, "00000101000000Z")},
    "half an offset": {"not_after": (UTC, "280101000000+02")},
    "no digits": {"not_after": (UTC, "tomorrow noon")},
    "another type": {"not_after": (0x13, "280101000000Z")},
}
PAGES = ("/", "/certificates", "/certificates/{}", "/nodes", "/nodes/n1", "/certificates/by-node")
MISDATED = {
    "no seconds": {"not_after": (UTC, "3501010000Z")},
    "no seconds at the beginning": {"not_before": (UTC, "2601010000Z")},
    "an offset": {"not_after": (UTC, "350101000000+0200")},
    "a fraction": {"not_after": (GENERALIZED, "20350101000000.5Z")},
    "no zone": {"not_after": (GENERALIZED, "20350101000000")},
}


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


def odd(**times) -> Certificate:
    """Make a leaf of the issuer whose validity is written like this."""
    issuer = read_frame(ISSUER.certificate_der).subject
    made = certificate(
        issuer=issuer,
        key=ISSUER.key,
        public_key=spki(KEY),
        subject=name(),
        extensions=[NAMES, SERVER_AUTH],
        **times,
    )
    return decode(made)


@pytest.mark.parametrize("times", ODD_TIMES.values(), ids=list(ODD_TIMES))
def test_a_moment_that_tells_no_date_is_no_date(times):
    found = odd(**times)
    (field,) = times
    assert getattr(found, f"{field}_s") is None
    assert found.undecodable == (field,)
    codes = [each.code for each in statuses(found, now_s=int(time.time()))]
    assert codes == [StatusCode.UNREADABLE]
    if field == "not_after":
        assert nearness_of(found, now_s=int(time.time())) is Nearness.UNKNOWN
    severities = {each.code: each.severity for each in lint(found, now_s=int(time.time()))}
    assert severities[LintCode.UNDECODABLE] is Severity.ERROR
    assert not {LintCode.NOT_YET_VALID, LintCode.BACKWARDS_VALIDITY, LintCode.LONG_LIFETIME} & set(severities)


@pytest.mark.parametrize("times", ODD_TIMES.values(), ids=list(ODD_TIMES))
def test_a_strict_client_is_said_to_refuse_what_tells_no_date_for_that(times):
    client, sent = StrictClient([decode(ROOT.certificate_der)]), [decode(ISSUER.certificate_der)]
    verdict = client.ask(odd(**times), sent, now_s=int(time.time()))
    assert not verdict.accepted
    assert re.search("cannot be (read|decoded)", verdict.reason), verdict.reason


@pytest.mark.parametrize("times", MISDATED.values(), ids=list(MISDATED))
def test_a_moment_in_a_form_that_clients_refuse_is_an_error_with_its_date(times):
    found = odd(**times)
    (field,) = times
    assert (getattr(found, f"{field}_s") is None, found.misdated) == (False, (field,))
    severities = {each.code: each.severity for each in lint(found, now_s=int(time.time()))}
    assert severities[LintCode.ODD_ENCODING] is Severity.ERROR


async def test_no_door_shows_an_unreadable_end_as_a_date(api: ApiClient):
    await api.add_node("n1")
    leaf = odd(not_after=THIRTEENTH)
    await api.call("POST", "trusted-cas", {"certificates": ROOT.certificate_pem})
    body = {"certificate": leaf.pem + ISSUER.certificate_pem, "private_key": KEY_PEM}
    status, kept = await api.call("POST", "certificates", body)
    assert status == 201
    # what clients refuse is asked about, and by its name
    wanted = {"nodes": ["n1"], "confirm": ""}
    status, asked = await api.call("POST", f"certificates/{kept['id']}/assign", wanted)
    reply = {each["code"] for each in asked["error"]["confirmation"]["consequences"] if each["asks"]}
    assert (status, "undecodable" in reply, "expired" in reply) == (409, True, False)
    wanted["confirm"] = asked["error"]["confirmation"]["token"]
    assert (await api.call("POST", f"certificates/{kept['id']}/assign", wanted))[0] == 200
    _, shown = await api.call("GET", f"certificates/{kept['id']}")
    assert (shown["not_after_s"], shown["unreadable"]) == (0, ["not_after"])
    assert (shown["headline"]["severity"], [each["code"] for each in shown["statuses"]]) == (
        "error",
        ["unreadable"],
    )
    assert shown["chain_of_trust"]["links"][0]["unreadable"] == ["not_after"]
    assert expiry(msgspec.convert(shown, CertificateAnswer, strict=False), time.time()) == "unreadable"
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    kinds = {each.subject.kind for each in await api.use_cases.alarms.active()}
    assert AlarmKind.CHAIN_INCOMPLETE in kinds
    assert not kinds & {AlarmKind.CERTIFICATE_EXPIRED, AlarmKind.CERTIFICATE_EXPIRING}
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        for path in PAGES:
            page = await browser.get(path.format(kept["id"]))
            dates = [each for each in re.findall(r'datetime="(\d{4})', page.html) if each < "2000"]
            # the list can be asked for those that have expired
            said = page.text.replace("Has expired", "").count("Expired") - (path == "/certificates")
            assert (page.status, dates, said) == (200, [], 0), path
        assert "unreadable" in (await browser.get("/certificates")).text
    async with api.session.get(f"{api.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert "certcast_certificates_unreadable_validity 1.0" in lines
    assert 'certcast_certificates_expiring{days="0"} 0.0' in lines
    assert not [each for each in lines if each.startswith("certcast_certificate_expiry_timestamp_seconds{")]


def test_a_node_refuses_it_as_what_it_is_and_stays_with_what_it_has():
    leaf = odd(not_after=THIRTEENTH)
    material = SlotMaterial(
        facts=SlotFacts(
            leaf=leaf.fingerprint,
            not_before_s=as_number(leaf.not_before_s),
            not_after_s=as_number(leaf.not_after_s),
        ),
        certificate_pem=leaf.pem,
        chain_pem=ISSUER.certificate_pem,
        private_key_pem=KEY_PEM,
    )
    trust = TrustMaterial(
        ca_certificates_pem=ROOT.certificate_pem, custom_ca_pem="", intermediates_pem="", anchors=1
    )
    bundle = build_bundle(
        node=NodeName("n1"),
        epoch=1,
        generation=2,
        slots={"server": (material.facts, slot_files("server", material))},
        trust=trust_files(trust),
        anchors=1,
    )
    (fault,) = find_faults(bundle.manifest, bundle.payloads, applied=None, now_s=time.time())
    assert (fault.part, fault.reason) == ("server", Reason.PARSE)
    assert "validity cannot be read" in fault.message
    # what runs already is not taken away
    assert find_faults(bundle.manifest, bundle.payloads, applied=bundle.manifest, now_s=time.time()) == ()
    assert "cannot be read" in unpublishable(bundle.manifest, None, now_s=time.time())


def test_a_port_that_serves_it_is_not_said_to_have_expired():
    seen = Serving(consumer="web", endpoint="n1:443", slot="server", leaf="ab" * 32, not_after_s=0, at_s=1.0)
    assert (seen.ends_s, dataclasses.replace(seen, not_after_s=5).ends_s) == (None, 5)


async def test_a_store_of_before_reads_the_first_second_of_1970_again(tmp_path, monkeypatch):
    to_head = command.upgrade
    keyring = Keyring(secrets.token_bytes(32))
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0013"))
        await (await Store.create(StorePlace(tmp_path / "data", None), keyring)).close()
    made = {1: odd(not_after=THIRTEENTH), 2: odd(not_before=(UTC, "700101000000Z"))}
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE)) as raw, raw:
        for number, each in made.items():
            raw.execute(
                "INSERT INTO trusted_ca (id, text, certificate_pem, fingerprint, subject_name, issuer_name, raw_subject, raw_issuer,"
                " serial_no, not_before_s, not_after_s, self_signed, created_s, issuer_id, public_key_id)"
                " VALUES (?, '', ?, ?, '', '', '', '', '', ?, ?, 0, 1, ?, '')",
                (
                    number,
                    each.pem,
                    each.fingerprint,
                    as_number(each.not_before_s),
                    as_number(each.not_after_s),
                    str(number),
                ),
            )
    store = await Store.open(StorePlace(tmp_path / "data", None), keyring)
    found = [(each.not_before_s, each.not_after_s) for each in await store.trusted_cas.list()]
    await store.close()
    assert found == [(each.not_before_s, each.not_after_s) for each in made.values()]
    assert (found[0][1], found[1][0]) == (None, 0)
