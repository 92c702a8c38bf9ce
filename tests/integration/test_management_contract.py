"""The wire contract, walked in its own order: the ten pitfalls, resources, conventions, error shapes."""

import asyncio
import io
import re
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from common.errors import Reason, StorageError
from manager.domain.model import Role
from manager.http.pieces import AT_ONCE
from manager.infinity_api import handlers
from manager.infinity_api.contract.description import Method, Resource
from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.documents import Documents
from tests import pki
from tests.fakes import cli_client, sdk_client
from tests.integration.api import USERS
from tests.integration.management import (
    AUTHORITIES,
    CA,
    CERTIFICATES,
    CONFIGURATION,
    IMPORT,
    ISSUER,
    LOCATIONS,
    MANAGERS,
    REQUESTS,
    ROOT,
    WORKERS,
    Client,
    leaf,
    management,
    upload,
    worker,
)
from tests.unit.pki.openssl import sign_request

ROOTS = [
    f"{ROOT}/{path}/"
    for path in (
        *("command/v1/conference", "command/v1/participant", "command/v1/platform"),
        *("configuration/v1", "history/v1", "status/v1"),
    )
]


@pytest.fixture
async def client(tmp_path: Path):
    async with management(tmp_path) as made:
        yield made


# -- the ten things that break clients


async def test_pitfall_1_times_are_naive_and_in_utc(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("a.example.test")))
    shown = await client.get(at)
    for name in ("start_date", "end_date"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", shown[name])


async def test_pitfall_2_a_create_is_201_with_an_empty_body_and_a_location_ending_in_the_id(client: Client):
    answer = await client.call("POST", CERTIFICATES, upload(leaf("a.example.test")))
    assert (answer.status, answer.body) == (201, b"")
    assert sdk_client.created_id(answer.location) > 1
    assert answer.location.startswith(CERTIFICATES)


async def test_pitfall_3_certificate_and_parameters_come_back_byte_for_byte(client: Client):
    for ending in ("\n", "", "\r\n", "\n\n# the end\n"):
        made = leaf("a.example.test")
        text = "Bag attributes\n" + (made.certificate_pem + ISSUER.certificate_pem).rstrip() + ending
        curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----" + ending
        body = {"certificate": text, "private_key": made.key_pem, "parameters": curve}
        shown = await client.get(await client.post(CERTIFICATES, body))
        assert (shown["certificate"], shown["parameters"]) == (text, curve)
        root = "text before\r\n" + CA.certificate_pem.rstrip() + ending
        assert (await client.get(await client.post(AUTHORITIES, {"certificate": root})))[
            "certificate"
        ] == root


async def test_pitfall_4_a_patch_with_a_key_changes_the_entry_in_place(client: Client):
    one, two = leaf("one.example.test"), leaf("two.example.test")
    at = await client.post(CERTIFICATES, upload(one))
    for again in (upload(one), upload(two), upload(two)):
        answer = await client.call("PATCH", at, again)
        assert (answer.status, answer.body) == (202, b"")
    assert (await client.get(at))["subject_name"] == "two.example.test"
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 2


async def test_pitfalls_5_and_6_every_root_and_every_schema_is_there_for_a_strict_client(client: Client):
    for root in ROOTS:
        entries = cli_client.read_root(await client.get(root))
        for name, entry in entries.items():
            schema = cli_client.read_schema(await client.get(f"{root}{name}/schema/", format="json"))
            assert entry.schema == f"{root}{name}/schema/"
            if name == "tls_certificate":
                assert "post" in schema.allowed_detail_http_methods


async def test_pitfall_7_pages_lead_to_each_other_by_paths(client: Client):
    for number in range(1, 5):
        await client.post(
            f"{CONFIGURATION}/dns_server/", {"address": f"192.0.2.{number}", "description": "d"}
        )
    seen, at = [], f"{CONFIGURATION}/dns_server/?limit=2&description=d&order_by=-address"
    while at is not None:
        envelope = cli_client.read_list((await client.call("GET", at)).body)
        seen += [each["address"] for each in envelope.objects]
        at = envelope.meta.next
    assert seen == ["192.0.2.4", "192.0.2.3", "192.0.2.2", "192.0.2.1"]


async def test_pitfall_8_a_certificate_is_found_by_its_exact_name_and_begins_with_the_leaf(client: Client):
    await client.post(CERTIFICATES, upload(leaf("a.example.test")))
    await client.post(CERTIFICATES, upload(leaf("aa.example.test")))
    assert await client.names(CERTIFICATES, subject_name="a.example.test") == ["a.example.test"]
    assert await client.names(CERTIFICATES, subject_name="A.example.test") == []


async def test_pitfall_9_an_import_is_done_when_it_is_answered(client: Client):
    made = leaf("imported.example.test")
    for path in (IMPORT, f"{ROOT}/command/v1/certificates/import/"):
        body = {
            "bundle": made.certificate_pem + ISSUER.certificate_pem + made.key_pem,
            "private_key_passphrase": "",
        }
        answer = await client.call("POST", path, body)
        assert (answer.status, answer.json) == (202, {"status": "success", "data": None})
    (found,) = (await client.get(CERTIFICATES, subject_name="imported.example.test"))["objects"]
    assert found["certificate"] == made.certificate_pem + ISSUER.certificate_pem
    assert (await client.get(AUTHORITIES))["objects"] == []


async def test_pitfall_10_a_missing_object_is_404_with_nothing_in_it(client: Client):
    for path in (CERTIFICATES, AUTHORITIES, REQUESTS, WORKERS, LOCATIONS):
        for method, body in (("GET", None), ("DELETE", None), ("PATCH", {})):
            answer = await client.call(method, f"{path}4711/", body)
            assert (answer.status, answer.body) == (404, b""), (method, path)


# -- resources


async def test_a_certificate_shows_every_field_of_the_contract_and_no_key(client: Client):
    made = leaf("a.example.test", "b.example.test")
    shown = await client.get(await client.post(CERTIFICATES, upload(made)))
    assert set(shown) == {
        *("id", "certificate", "private_key_passphrase", "parameters", "nodes", "start_date", "end_date"),
        *(
            "subject_name",
            "subject_hash",
            "raw_subject",
            "issuer_name",
            "issuer_hash",
            "raw_issuer",
            "serial_no",
        ),
        *("key_id", "issuer_key_id", "subject_alt_names", "text", "server_auth_usage", "client_auth_usage"),
        "resource_uri",
    }
    assert shown["private_key_passphrase"] == ""
    assert shown["subject_alt_names"] == "a.example.test,b.example.test"
    assert int(shown["serial_no"], 16) == made.certificate.serial_number
    assert (shown["issuer_name"], shown["raw_subject"]) == ("Management Issuing", "CN=a.example.test")
    assert re.fullmatch("[0-9a-f]{8}", shown["subject_hash"])
    assert re.fullmatch("([0-9A-F]{2}:)+[0-9A-F]{2}", shown["key_id"])
    assert (shown["server_auth_usage"], shown["client_auth_usage"]) == (True, True)
    assert shown["text"].startswith("Certificate:\n")
    assert shown["resource_uri"] == f"{CERTIFICATES}{shown['id']}/"
    assert shown["nodes"] == []


async def test_one_issuer_and_serial_number_is_one_entry_and_one_subject_may_have_several(client: Client):
    made = leaf("a.example.test")
    at = await client.post(CERTIFICATES, upload(made))
    assert (
        await client.post(CERTIFICATES, {"certificate": made.certificate_pem, "private_key": made.key_pem})
        == at
    )
    assert (await client.get(at))["certificate"] == made.certificate_pem
    assert await client.post(CERTIFICATES, upload(leaf("a.example.test"))) != at
    assert len(await client.names(CERTIFICATES, subject_name="a.example.test")) == 2


async def test_another_key_of_one_issuer_and_serial_number_is_refused_and_named_and_a_patch_may_bring_it(
    client: Client,
):
    one, two = (pki.make_leaf(ISSUER, [f"{name}.example.test"], serial=7) for name in ("one", "two"))
    at = await client.post(CERTIFICATES, upload(one))
    refusals = [
        await client.call("POST", CERTIFICATES, upload(two)),
        await client.call("POST", IMPORT, {"bundle": two.certificate_pem + two.key_pem}),
    ]
    for refused in refusals:
        assert refused.status == 400
        for told in ("one.example.test", "two.example.test", "another private key"):
            assert told in refused.body.decode()
    assert (await client.get(at))["subject_name"] == "one.example.test"
    assert await client.post(CERTIFICATES, upload(one)) == at
    assert (await client.call("PATCH", at, upload(two))).status == 202
    assert (await client.get(at))["subject_name"] == "two.example.test"


async def test_nodes_are_fqdns_both_ways(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("manager.example.test"), nodes=["MANAGER.example.test"]))
    assert (await client.get(at))["nodes"] == ["manager.example.test"]
    assert (await client.get(f"{MANAGERS}1/"))["tls_certificate"] == at
    # a client that does not speak of them leaves them
    assert (await client.call("PATCH", at, {"parameters": ""})).status == 202
    assert (await client.get(at))["nodes"] == ["manager.example.test"]
    assert (await client.call("PATCH", at, {"nodes": []})).status == 202
    assert (await client.get(f"{MANAGERS}1/"))["tls_certificate"] is None
    refused = await client.call("PATCH", at, {"nodes": ["nobody.example.test"]})
    assert (refused.status, refused.json) == (
        400,
        {"tls_certificate": {"nodes": ["There is no node 'nobody.example.test'."]}},
    )


async def test_what_is_wrong_with_a_certificate_is_told_by_field(client: Client):
    one, two = leaf("one.example.test"), leaf("two.example.test")
    mixed = await client.call(
        "POST", CERTIFICATES, {"certificate": one.certificate_pem, "private_key": two.key_pem}
    )
    assert mixed.status == 400
    assert "pairs with none" in mixed.json["tls_certificate"]["private_key"][0]
    at = await client.post(CERTIFICATES, upload(one))
    other = await client.post(CERTIFICATES, upload(two))
    kept = await client.call("PATCH", at, {"certificate": two.certificate_pem})
    assert "does not pair" in kept.json["tls_certificate"]["certificate"][0]
    same = await client.call("PATCH", at, upload(two))
    assert same.status == 400
    assert other.rstrip("/").rpartition("/")[2] in same.json["tls_certificate"]["__all__"][0]
    assert (await client.get(at))["subject_name"] == "one.example.test"


async def test_an_encrypted_key_is_opened_with_its_passphrase(client: Client):
    made, phrase = leaf("a.example.test"), "the-passphrase-of-a-key"
    body = {"certificate": made.certificate_pem, "private_key": made.encrypted_key_pem(phrase)}
    refused = await client.call("POST", CERTIFICATES, body)
    assert (refused.status, set(refused.json["tls_certificate"])) == (400, {"private_key"})
    at = await client.post(CERTIFICATES, {**body, "private_key_passphrase": phrase})
    assert (await client.call("PATCH", at, {**body, "private_key_passphrase": phrase})).status == 202


async def test_an_assigned_certificate_can_be_deleted_and_the_alarm_follows(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("manager.example.test"), nodes=["manager.example.test"]))
    assert (await client.call("DELETE", at)).status == 204
    assert (await client.get(f"{MANAGERS}1/"))["tls_certificate"] is None
    await client.api.operations.alarms.evaluate(client.api.fleet)
    (alarm,) = [
        each for each in (await client.get(f"{ROOT}/status/v1/alarm/"))["objects"] if each["identifier"] == 1
    ]
    assert alarm["node"] == "192.0.2.1"
    assert (alarm["level"], alarm["acknowledged"]) == ("error", False)


async def test_a_trusted_ca_keeps_whether_an_intermediate_verifies_and_a_root_always_does(client: Client):
    root = await client.post(AUTHORITIES, {"certificate": CA.certificate_pem, "trusted_intermediate": True})
    middle = await client.post(
        AUTHORITIES, {"certificate": ISSUER.certificate_pem, "trusted_intermediate": True}
    )
    assert (await client.get(root))["trusted_intermediate"] is False
    shown = await client.get(middle)
    assert shown["trusted_intermediate"] is True
    assert set(shown) == {
        *(
            "id",
            "certificate",
            "trusted_intermediate",
            "start_date",
            "end_date",
            "subject_name",
            "subject_hash",
        ),
        *("raw_subject", "issuer_name", "issuer_hash", "raw_issuer", "serial_no", "key_id", "issuer_key_id"),
        *("text", "resource_uri"),
    }
    assert (await client.call("PATCH", middle, {"trusted_intermediate": False})).status == 202
    assert (await client.get(middle))["trusted_intermediate"] is False
    assert await client.post(AUTHORITIES, {"certificate": ISSUER.certificate_pem}) == middle
    assert (await client.call("PATCH", AUTHORITIES, {"objects": []})).status == 405


async def test_several_trusted_cas_are_refused_as_one_and_taken_by_the_import(client: Client):
    both = CA.certificate_pem + ISSUER.certificate_pem
    refused = await client.call("POST", AUTHORITIES, {"certificate": both})
    assert refused.status == 400
    assert "there are 2 CA certificates" in refused.json["ca_certificate"]["certificate"][0]
    assert (await client.call("POST", IMPORT, {"bundle": both})).status == 202
    assert sorted(await client.names(AUTHORITIES)) == ["Management Issuing", "Management Root"]


async def test_an_import_that_cannot_be_is_one_error_and_keeps_nothing(client: Client):
    made = leaf("a.example.test")
    answer = await client.call("POST", IMPORT, {"bundle": made.certificate_pem + CA.certificate_pem})
    assert answer.status == 400
    assert "has no private key" in answer.error
    assert (await client.get(AUTHORITIES))["meta"]["total_count"] == 0


async def test_a_request_is_made_read_signed_and_answered_and_its_nodes_follow(
    client: Client, tmp_path: Path
):
    old = await client.post(
        CERTIFICATES, upload(leaf("manager.example.test"), nodes=["manager.example.test"])
    )
    at = await client.post(
        REQUESTS,
        {
            "subject_name": "manager.example.test",
            "additional_subject_alt_names": "alias.example.test, 192.0.2.1",
            "private_key_type": "ECDSAP256",
            "tls_certificate": old,
        },
    )
    shown = await client.get(at)
    assert set(shown) == {"id", "subject_name", "tls_certificate", "csr", "certificate", "resource_uri"}
    assert shown["certificate"] == ""
    assert (shown["subject_name"], shown["tls_certificate"]) == ("manager.example.test", old)
    request = pki.x509.load_pem_x509_csr(shown["csr"].encode())
    asked = request.extensions.get_extension_for_class(pki.x509.SubjectAlternativeName).value
    assert [str(each.value) for each in asked] == ["manager.example.test", "alias.example.test", "192.0.2.1"]
    signed = sign_request(shown["csr"], ISSUER, cwd=tmp_path)
    empty = await client.call("PATCH", at, {"subject_name": "manager.example.test"})
    assert (empty.status, set(empty.json["certificate_signing_request"])) == (400, {"certificate"})
    wrong = await client.call("PATCH", at, {"certificate": leaf("x.example.test").certificate_pem})
    assert (wrong.status, set(wrong.json["certificate_signing_request"])) == (400, {"certificate"})
    moved = await client.call("PATCH", at, {"certificate": signed, "tls_certificate": f"{CERTIFICATES}1/"})
    assert (moved.status, set(moved.json["certificate_signing_request"])) == (400, {"tls_certificate"})
    assert (await client.call("PATCH", at, {"certificate": signed + ISSUER.certificate_pem})).status == 202
    assert (await client.get(at))["csr"] == shown["csr"]
    new = (await client.get(f"{MANAGERS}1/"))["tls_certificate"]
    assert new not in {old, None}
    assert (await client.get(new))["certificate"] == signed + ISSUER.certificate_pem
    # the Go client means PATCH where it says PUT; the same answer again updates the same entry
    assert (await client.call("PUT", at, {"certificate": signed})).status == 204
    assert (await client.get(f"{MANAGERS}1/"))["tls_certificate"] == new
    assert (await client.call("DELETE", at)).status == 204
    assert (await client.get(REQUESTS))["objects"] == []


async def test_a_request_takes_a_dn_an_uploaded_key_and_names_what_does_not_fit(client: Client):
    key = pki.make_leaf(None).key_pem
    at = await client.post(
        REQUESTS,
        {
            "subject_name": "a.example.test",
            "dn": "O=Example,C=NO",
            "private_key_type": "UPLOAD",
            "private_key": key,
            "ad_compatible": True,
        },
    )
    request = pki.x509.load_pem_x509_csr((await client.get(at))["csr"].encode())
    assert request.subject.rfc4514_string() == "CN=a.example.test,O=Example,C=NO"
    usages = request.extensions.get_extension_for_class(pki.x509.ExtendedKeyUsage).value
    assert list(usages) == [pki.ExtendedKeyUsageOID.SERVER_AUTH], "what is not asked for is not requested"
    base = {"subject_name": "a.example.test", "private_key_type": "ECDSAP256"}
    for more, field in (
        ({"dn": "test-value"}, "dn"),
        ({"dn": "CN=b.example.test"}, "dn"),
        ({"private_key": key}, "private_key_type"),
        ({"private_key_type": "UPLOAD"}, "private_key"),
        ({"private_key_type": "DSA"}, "private_key_type"),
        ({"additional_subject_alt_names": "not a name"}, "additional_subject_alt_names"),
        ({"tls_certificate": f"{CERTIFICATES}99/"}, "tls_certificate"),
    ):
        refused = await client.call("POST", REQUESTS, {**base, **more})
        assert refused.status == 400
        assert set(refused.json["certificate_signing_request"]) == {field}


async def test_a_node_is_made_with_what_it_needs_to_join_and_comes_back_as_it_was_sent(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    certificate = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    route = await client.post(
        f"{CONFIGURATION}/static_route/",
        {"name": "r", "address": "198.51.100.0", "gateway": "192.0.2.3"},
    )
    key = await client.post(f"{CONFIGURATION}/ssh_authorized_key/", {"keytype": "ssh-ed25519", "key": "AAAA"})
    body = worker(
        name="Oslo 1",
        system_location=location,
        tls_certificate=certificate,
        tls_client_certificate=certificate,
        alternative_fqdn="meet.example.test",
        ipv6_address="2001:db8::1",
        static_routes=[route],
        ssh_authorized_keys=[key],
        node_type="PROXYING",
        snmp_privacy_password="a-password-of-snmp",
        password="a-password-of-the-node",
        maintenance_mode=True,
        maintenance_mode_reason="why",
    )
    made = await client.call("POST", WORKERS, body)
    assert made.status == 201
    assert made.json["join_command"] == f"certcast-nodeagent join {made.json['join_token']}"
    shown = await client.get(made.location)
    hidden = {"password", "snmp_privacy_password", "static_routes"}
    assert {name: shown[name] for name in body if name not in hidden} == {
        name: value for name, value in body.items() if name not in hidden
    }
    assert not {"password", "snmp_privacy_password", "vm_cpu_count", "deployment_type"} & set(shown)
    assert [each["resource_uri"] for each in shown["static_routes"]] == [route]
    assert (await client.get(certificate))["nodes"] == ["conf1.example.test"]
    assert client.api.fleet.node("oslo-1").state == "never_joined"
    (status,) = (await client.get(f"{ROOT}/status/v1/worker_vm/"))["objects"]
    assert (status["name"], status["sync_status"], status["system_location"]) == (
        "Oslo 1",
        "NOT_JOINED",
        "Oslo",
    )
    assert status["configuration_id"] == shown["id"]


async def test_a_put_and_a_patch_set_only_what_they_name_and_null_clears(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    certificate = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    at = await client.post_worker(
        worker(tls_certificate=certificate, description="d", ipv6_address="2001:db8::1")
    )
    assert (await client.call("PATCH", at, {"description": "e"})).status == 202
    shown = await client.get(at)
    assert (shown["description"], shown["tls_certificate"], shown["ipv6_address"]) == (
        "e",
        certificate,
        "2001:db8::1",
    )
    answer = await client.call("PUT", at, worker(tls_certificate=None, ipv6_address=None, static_routes=[]))
    assert (answer.status, answer.body) == (204, b"")
    shown = await client.get(at)
    assert (shown["description"], shown["tls_certificate"], shown["ipv6_address"]) == ("e", None, None)
    assert (await client.call("PUT", at, {"name": "conf1"})).status == 204
    assert await client.get(at) == shown
    assert (await client.call("DELETE", location)).json == {
        "system_location": {"__all__": ["Still used by worker_vm conf1; move these first."]}
    }
    assert (await client.call("DELETE", at)).status == 204
    assert (await client.call("DELETE", location)).status == 204


async def test_names_addresses_and_dns_names_of_nodes_are_unique_and_checked(client: Client):
    await client.post(LOCATIONS, {"name": "Oslo"})
    at = await client.post_worker(worker(1))
    twice = await client.call("POST", WORKERS, worker(1))
    assert twice.status == 400
    assert set(twice.json["worker_vm"]) == {"name", "address", "hostname"}
    assert "already exists" in twice.json["worker_vm"]["name"][0]
    other = await client.post_worker(worker(2))
    assert set((await client.call("PATCH", other, {"name": "CONF1"})).json["worker_vm"]) == {"name"}
    assert (await client.call("PATCH", other, {"name": "conf2"})).status == 202
    for field, value in (("address", "here"), ("hostname", "a b"), ("system_location", f"{LOCATIONS}9/")):
        refused = await client.call("POST", WORKERS, worker(3, **{field: value}))
        assert (refused.status, set(refused.json["worker_vm"])) == (400, {field}), refused
    assert (await client.call("PATCH", at, {"tls_certificate": f"{CERTIFICATES}99/"})).status == 400


async def test_nodes_that_share_an_address_can_be_given_a_certificate(client: Client):
    for name in ("conf1", "conf2"):
        body = {"name": name, "names": [f"{name}.example.test"], "addresses": ["192.0.2.7"]}
        assert (await client.api.call("POST", "nodes", body))[0] == 201
    new = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    (at,) = [row["resource_uri"] for row in (await client.get(WORKERS, name="conf1"))["objects"]]
    assert (await client.call("PATCH", at, {"tls_certificate": new})).status == 202
    assert (await client.call("PATCH", at, {"address": "192.0.2.8"})).status == 202
    assert set((await client.call("PATCH", at, {"address": "192.0.2.7"})).json["worker_vm"]) == {"address"}


async def test_the_management_node_is_adopted_and_patched_to_defaults(client: Client):
    (shown,) = (await client.get(MANAGERS))["objects"]
    assert (shown["primary"], shown["initializing"], shown["tls_certificate"]) == (
        True,
        False,
        None,
    )
    assert (shown["hostname"], shown["domain"], shown["address"]) == ("manager", "example.test", "192.0.2.1")
    new = await client.post(CERTIFICATES, upload(leaf("manager.example.test")))
    dns = await client.post(f"{CONFIGURATION}/dns_server/", {"address": "192.0.2.53"})
    proxy = await client.post(f"{CONFIGURATION}/http_proxy/", {"name": "p", "address": "192.0.2.8"})
    body = {"tls_certificate": new, "dns_servers": [dns], "http_proxy": proxy}
    assert (await client.call("PATCH", shown["resource_uri"], body)).status == 202
    changed = await client.get(shown["resource_uri"])
    assert (changed["tls_certificate"], changed["http_proxy"]) == (new, body["http_proxy"])
    assert changed["dns_servers"][0]["address"] == "192.0.2.53"
    assert (await client.call("DELETE", f"{CERTIFICATES}1/")).status == 204
    defaults = {
        **dict.fromkeys(["tls_certificate", "tls_client_certificate", "ipv6_address", "http_proxy"]),
        **{
            name: []
            for name in ("dns_servers", "ntp_servers", "syslog_servers", "static_routes", "event_sinks")
        },
        "mtu": 1500,
        "enable_ssh": "GLOBAL",
        "snmp_mode": "DISABLED",
        "description": "",
    }
    assert (await client.call("PATCH", shown["resource_uri"], defaults)).status == 202
    reset = await client.get(shown["resource_uri"])
    assert {name: reset[name] for name in defaults} == defaults
    assert reset["hostname"] == "manager"
    for method, path, status in (
        ("POST", MANAGERS, 405),
        ("DELETE", f"{MANAGERS}1/", 405),
        ("PUT", f"{MANAGERS}1/", 204),
    ):
        assert (await client.call(method, path, {})).status == status


async def test_locations_and_small_resources_keep_what_they_are_given(client: Client):
    dns = await client.post(f"{CONFIGURATION}/dns_server/", {"address": "192.0.2.53"})
    ntp = await client.post(
        f"{CONFIGURATION}/ntp_server/", {"address": "ntp.example.test", "key": "a-key-of-ntp"}
    )
    assert (await client.get(f"{CONFIGURATION}/dns_server/", address="192.0.2.53"))["meta"][
        "total_count"
    ] == 1
    small = {"name": "n", "address": "192.0.2.7"}
    proxy = await client.post(f"{CONFIGURATION}/sip_proxy/", small)
    turns = [await client.post(f"{CONFIGURATION}/turn_server/", {**small, "name": name}) for name in "ab"]
    body = {
        "name": "Oslo",
        "mtu": 1400,
        "media_qos": 46,
        "dns_servers": [dns],
        "ntp_servers": [ntp],
        "sip_proxy": proxy,
        "client_turn_servers": turns,
        "bdpm_pin_checks_enabled": "ON",
    }
    at = await client.post(LOCATIONS, body)
    shown = await client.get(at)
    nested = {"dns_servers", "ntp_servers"}
    assert {name: shown[name] for name in body if name not in nested} == {
        name: value for name, value in body.items() if name not in nested
    }
    assert shown["dns_servers"] == [await client.get(dns)]
    assert "key" not in shown["ntp_servers"][0]
    # the whole object, as it was answered, can be sent back
    assert (await client.call("PUT", at, shown)).status == 204
    assert await client.get(at) == shown
    assert (await client.call("DELETE", dns)).status == 204
    assert (await client.get(at))["dns_servers"] == []
    twice = await client.call("POST", LOCATIONS, {"name": "Oslo"})
    assert (twice.status, twice.json) == (
        400,
        {"system_location": {"name": ["System location with this name already exists."]}},
    )
    itself = await client.post(LOCATIONS, {"name": "Bergen", "overflow_location1": at})
    assert (await client.call("DELETE", at)).status == 204
    assert (await client.get(itself))["overflow_location1"] is None


async def test_alarms_are_told_as_they_are_and_as_they_were(client: Client):
    soon = await client.post(CERTIFICATES, upload(leaf("soon.example.test", days=5)))
    await client.api.operations.alarms.evaluate(client.api.fleet)
    now = sdk_client.read_list("status/v1/alarm", (await client.call("GET", f"{ROOT}/status/v1/alarm/")).body)
    expiring = next(each for each in now["objects"] if each["identifier"] == 3)
    assert "soon.example.test" in expiring["instance"]
    assert expiring["node"] == ""
    await client.call("DELETE", soon)
    await client.api.operations.alarms.evaluate(client.api.fleet)
    path = f"{ROOT}/history/v1/alarm/?start_time__gte=2020-01-01T00:00:00Z&order_by=-time_lowered"
    past = sdk_client.read_list("history/v1/alarm", (await client.call("GET", path)).body)
    assert "soon.example.test" in past["objects"][0]["instance"]
    assert past["objects"][0]["time_lowered"] is not None


async def test_links_to_other_objects_can_be_filtered_by_id_and_by_name(client: Client):
    oslo, bergen = (
        await client.post(LOCATIONS, {"name": "Oslo"}),
        await client.post(LOCATIONS, {"name": "Bergen"}),
    )
    await client.post_worker(worker(1, system_location=oslo))
    await client.post_worker(worker(2, system_location=bergen))
    for query in ({"system_location": "2"}, {"system_location": bergen}, {"system_location__name": "Bergen"}):
        assert [each["name"] for each in (await client.get(WORKERS, **query))["objects"]] == ["conf2"]
    status = await client.get(f"{ROOT}/status/v1/worker_vm/", order_by="-name", system_location__contains="e")
    assert [each["name"] for each in status["objects"]] == ["conf2"]


async def test_resources_that_clients_look_for_and_that_do_not_exist_are_404(client: Client):
    for path in ("trusted_ca_certificate", "ivr_theme", "conference_alias"):
        assert (await client.call("GET", f"{CONFIGURATION}/{path}/")).status == 404


# -- conventions


async def test_every_method_of_every_resource_has_its_code(client: Client):
    for resource in RESOURCES:
        for method in Method:
            await check_method(client, resource, method, to_one=False)
            if not resource.is_command:
                await check_method(client, resource, method, to_one=True)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await client.call(method, resource.schema_path, {})
            assert (refused.status, refused.headers["Allow"]) == (405, "GET")


async def check_method(client: Client, resource: Resource, method: Method, *, to_one: bool) -> None:
    path = f"{resource.path}4711/" if to_one else resource.path
    allowed = resource.detail_methods if to_one else resource.list_methods
    answer = await client.call(method.upper(), path, None if method in {"get", "delete"} else {"x": 1})
    if method in allowed:
        lacking = method in {Method.POST, Method.PATCH}
        assert answer.status == (404 if to_one else 400 if lacking else 204 if method == "delete" else 200)
    elif to_one and method is Method.POST and Method.POST in resource.list_methods:
        assert (answer.status, answer.body) == (501, b"")
    else:
        assert answer.status == 405
        assert answer.headers["Allow"] == ", ".join(each.upper() for each in Method if each in allowed)


async def test_who_is_unknown_is_401_and_asked_for_basic_whatever_the_path(client: Client):
    for path in (CERTIFICATES, f"{CERTIFICATES}99/", f"{ROOT}/nothing/", f"/{CERTIFICATES}"):
        for method in ("GET", "POST", "DELETE"):
            answer = await client.call(method, path, role=None)
            assert (answer.status, answer.body) == (401, b"")
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    wrong = {"Authorization": aiohttp.encode_basic_auth("administrator", "not-the-password")}
    assert (await client.call("GET", CERTIFICATES, headers=wrong)).status == 401


async def test_only_administrators_change_anything(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("a.example.test")))
    for role in (Role.READ_ONLY, Role.OPERATOR):
        await check_looks_only(client, role, at)
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 2


async def check_looks_only(client: Client, role: Role, at: str) -> None:
    for path in (CERTIFICATES, at, f"{CERTIFICATES}set/1;2/", f"{CERTIFICATES}schema/", *ROOTS):
        assert (await client.call("GET", path, role=role)).status == 200
    for method, path in (
        *(
            ("POST", CERTIFICATES),
            ("PATCH", at),
            ("DELETE", at),
            ("DELETE", CERTIFICATES),
            ("PATCH", CERTIFICATES),
        ),
        *(("POST", IMPORT), ("PUT", f"{MANAGERS}1/"), ("POST", WORKERS)),
    ):
        answer = await client.call(method, path, {}, role=role)
        assert answer.status == 403
        assert Role.ADMINISTRATOR.value in answer.error


async def test_another_sites_page_may_not_change_anything(client: Client):
    at = await client.post(LOCATIONS, {"name": "Oslo"})
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.call("DELETE", at, headers=headers)).status == 403
        assert (await client.call("GET", at, headers=headers)).status == 200
    assert (await client.call("DELETE", at, headers={"Sec-Fetch-Site": "same-origin"})).status == 204


async def test_failed_logins_are_429_with_an_empty_body_before_anything_is_done(client: Client):
    wrong = {"Authorization": aiohttp.encode_basic_auth("nobody", "not-the-password")}
    for _ in range(10):
        assert (await client.call("GET", CERTIFICATES, headers=wrong)).status == 401
    answer = await client.call("DELETE", f"{CERTIFICATES}1/", headers=wrong)
    assert (answer.status, answer.body, answer.headers["Retry-After"]) == (429, b"", "1")


async def test_a_missing_type_and_a_doubled_slash_are_forgiven_and_other_types_are_not(client: Client):
    async def send(data: bytes, **headers: str) -> int:
        skip = ["Content-Type"] if not headers else []
        answer = await client.call(
            "POST", f"/{LOCATIONS}", data=data, headers=headers, skip_auto_headers=skip
        )
        return answer.status

    assert await send(b'{"name": "one"}') == 201
    assert await send(b'{"name": "two"}', **{"Content-Type": "application/json; charset=utf-8"}) == 201
    assert await send(b'{"name": "three"}', **{"Content-Type": "text/xml"}) == 415
    assert await send(b"name=four", **{"Content-Type": "application/x-www-form-urlencoded"}) == 415
    assert (await client.get(f"/{LOCATIONS}", format="json"))["meta"]["total_count"] == 2
    accepting = await client.call("GET", LOCATIONS, headers={"Accept": "text/html"})
    assert accepting.headers["Content-Type"] == "application/json"


NO_OBJECTS = (
    b"",
    b"  \n",
    b"{",
    b"[1]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"name": "\\ud800"}',
    b"nan",
)


async def test_a_body_that_is_no_object_is_400_and_makes_nothing(client: Client):
    places = (("POST", LOCATIONS), ("PATCH", LOCATIONS), ("PATCH", f"{MANAGERS}1/"), ("POST", IMPORT))
    for data in NO_OBJECTS:
        for method, path in places:
            answer = await client.call(method, path, data=data, headers={"Content-Type": "application/json"})
            assert answer.status == 400, data
            assert isinstance(answer.error, str)
    assert (await client.get(LOCATIONS))["objects"] == []


async def test_a_body_larger_than_the_limit_is_413_and_a_compressed_one_415(client: Client):
    large = b'{"bundle": "' + b"x" * (12 * 1024 * 1024) + b'"}'
    assert (
        await client.call(
            "POST", IMPORT, data=io.BytesIO(large), headers={"Content-Type": "application/json"}
        )
    ).status == 413
    below = b'{"bundle": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    answer = await client.call(
        "POST", IMPORT, data=io.BytesIO(below), headers={"Content-Type": "application/json"}
    )
    assert (answer.status, "at most 1048576 characters" in answer.body.decode()) == (400, True)
    packed = await client.call("POST", IMPORT, data=b"x", headers={"Content-Encoding": "gzip"})
    assert packed.status == 415


async def test_ids_that_are_no_numbers_and_filters_of_the_wrong_type_have_the_frameworks_words(
    client: Client,
):
    answer = await client.call("GET", f"{CERTIFICATES}seven/")
    assert answer.status == 404
    assert set(answer.json) == {"error_message"}
    answer = await client.call("GET", CERTIFICATES, params={"id": "seven"})
    assert (answer.status, answer.error) == (400, "Invalid resource lookup data provided (mismatched type).")


QUERIES = {
    "private_key__contains=x": "The 'private_key' field does not allow filtering.",
    "nodes=x": "The 'nodes' field does not allow filtering.",
    "subject_name__like=x": "'like' is not an allowed filter on the 'subject_name' field.",
    "order_by=colour": "No matching 'colour' field for ordering on.",
    "limit=x": "Invalid limit 'x' provided. Please provide a positive integer.",
    "offset=-1": "Invalid offset '-1' provided. Please provide a positive integer >= 0.",
}


async def test_what_a_list_cannot_be_asked_is_400_in_the_frameworks_words(client: Client):
    for query, error in QUERIES.items():
        for method in ("GET", "DELETE"):
            answer = await client.call(method, f"{CERTIFICATES}?{query}")
            assert (answer.status, answer.error) == (400, error)
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 1


async def test_searches_for_fields_that_are_not_there_are_ignored(client: Client):
    for path in (CERTIFICATES, AUTHORITIES, REQUESTS, f"{ROOT}/status/v1/alarm/"):
        answer = await client.call("GET", f"{path}?nickname__icontains=x&start_time__gte=2020&nonsense=1")
        assert answer.status == 200
    for path in (CERTIFICATES, AUTHORITIES, REQUESTS):
        assert (await client.call("GET", f"{path}?name=x&name__icontains=x")).status == 200
    assert (await client.get(CERTIFICATES, name="x"))["meta"]["total_count"] == 1


async def test_several_are_read_changed_made_and_deleted_at_once(client: Client):
    one, two = await client.post(LOCATIONS, {"name": "one"}), await client.post(LOCATIONS, {"name": "two"})
    several = await client.get(f"{LOCATIONS}set/2;1;77;x/")
    assert [each["name"] for each in several["objects"]] == ["two", "one"]
    assert several["not_found"] == ["77", "x"]
    assert "not_found" not in await client.get(f"{LOCATIONS}set/1/")
    answer = await client.call(
        "PATCH",
        LOCATIONS,
        {"objects": [{"resource_uri": one, "description": "d"}, {"name": "three"}], "deleted_objects": [two]},
    )
    assert answer.status == 202
    assert [each["name"] for each in answer.json["objects"]] == ["one", "three"]
    assert answer.json["deleted_objects"] == [two]
    assert [each["description"] for each in (await client.get(LOCATIONS))["objects"]] == ["d", ""]
    refused = await client.call("PATCH", LOCATIONS, {"objects": [{"name": "four"}, {"resource_uri": two}]})
    assert refused.status == 404
    partly = await client.call("PATCH", LOCATIONS, {"objects": [{"name": "five"}, {"name": "one"}]})
    assert (partly.status, "the 1 before it were carried out" in partly.error) == (400, True)
    assert [each["name"] for each in (await client.get(LOCATIONS))["objects"]] == ["one", "three", "five"]


async def test_several_that_are_changed_but_not_deleted_are_not_to_be_sent_again(client: Client, monkeypatch):
    one = await client.post(LOCATIONS, {"name": "one"})

    async def fail(*_args: object) -> None:
        raise StorageError("the store says no")

    monkeypatch.setattr(client.api.operations.context.store.documents, "delete", fail)
    both = {"objects": [{"name": "two"}], "deleted_objects": [one]}
    partly = await client.call("PATCH", LOCATIONS, both)
    assert (partly.status, partly.error) == (
        400,
        "deleted_objects: the store says no; the 1 before it were carried out.",
    )
    assert [each["name"] for each in (await client.get(LOCATIONS))["objects"]] == ["one", "two"]
    neither = await client.call("PATCH", LOCATIONS, {"objects": [], "deleted_objects": [one]})
    assert (neither.status, neither.error) == (503, "the store says no")


async def test_what_cannot_be_written_into_the_audit_log_is_503_and_was_not_done(client: Client, monkeypatch):
    one, gone = [await client.post(LOCATIONS, {"name": name}) for name in ("one", "gone")]
    two = await client.post(CERTIFICATES, upload(leaf("two.example.test")))

    async def fail(**_values: object) -> None:
        raise StorageError("the store says no")

    calls = [
        ("POST", LOCATIONS, {"name": "Oslo"}),
        ("PATCH", one, {"description": "d"}),
        ("DELETE", gone, None),
        ("POST", CERTIFICATES, upload(leaf("three.example.test"))),
        ("PATCH", two, {"nodes": ["manager.example.test"]}),
        ("POST", WORKERS, worker(1, system_location=one)),
        ("PATCH", f"{MANAGERS}1/", {"tls_certificate": two}),
        ("DELETE", CERTIFICATES, None),
    ]
    kinds = (LOCATIONS, CERTIFICATES, WORKERS, MANAGERS)
    before = [await client.get(path) for path in kinds]
    with monkeypatch.context() as patch:
        patch.setattr(client.api.operations.context.store.audit, "append", fail)
        for method, path, body in calls:
            answer = await client.call(method, path, body)
            assert (answer.status, answer.error) == (503, "the store says no"), (method, path, answer.body)
    assert [await client.get(path) for path in kinds] == before
    for method, path, body in calls:
        answer = await client.call(method, path, body)
        assert answer.status in {201, 202, 204}, (method, path, answer.body)


async def test_a_list_is_deleted_as_far_as_its_filter_goes_all_or_nothing(client: Client):
    for number in range(3):
        await client.post(CERTIFICATES, upload(leaf(f"host{number}.example.test")))
    assert (
        await client.call("DELETE", f"{CERTIFICATES}?subject_name__in=host0.example.test,host1.example.test")
    ).status == 204
    assert await client.names(CERTIFICATES, order_by="id") == ["manager.example.test", "host2.example.test"]
    oslo = await client.post(LOCATIONS, {"name": "Oslo"})
    await client.post(LOCATIONS, {"name": "Bergen"})
    await client.post_worker(worker(1, system_location=oslo))
    assert (await client.call("DELETE", LOCATIONS)).status == 400
    assert (await client.get(LOCATIONS))["meta"]["total_count"] == 2
    assert (await client.call("DELETE", WORKERS)).status == 204
    assert (await client.call("DELETE", LOCATIONS)).status == 204
    assert (await client.get(LOCATIONS))["objects"] == []
    assert (await client.get(MANAGERS))["meta"]["total_count"] == 1


async def test_a_store_that_fails_is_503_or_507_and_nothing_was_done(client: Client, monkeypatch):
    for reason, status in ((Reason.STORAGE, 503), (Reason.NO_SPACE, 507)):

        async def fail(*_args: object, reason: Reason = reason, **_more: object) -> None:
            raise StorageError("the store says no", reason=reason)

        with monkeypatch.context() as patched:
            patched.setattr(client.api.operations.context.store.documents, "add", fail)
            answer = await client.call("POST", LOCATIONS, {"name": "Oslo"})
        assert (answer.status, answer.json) == (status, {"error": "the store says no"})
    with monkeypatch.context() as patched:
        patched.setattr(client.api.operations.context.store.documents, "add", lambda *_a, **_m: 1 / 0)
        with capture_logs() as logged:
            answer = await client.call("POST", LOCATIONS, {"name": "Oslo"})
    assert [each["event"] for each in logged] == ["request.failed"]
    assert answer.status == 500
    assert answer.json["error_message"].startswith("Sorry, this request could not be processed.")
    assert (await client.get(LOCATIONS))["objects"] == []


async def test_a_long_list_is_made_and_sent_in_pieces(client: Client, monkeypatch):
    store = client.api.operations.context.store.documents
    count = AT_ONCE * 2 + 7
    async with client.api.operations.context.store.together():
        for number in range(count):
            await store.add("dns_server", {"address": f"198.51.{number // 256}.{number % 256}"})
    made, whole = [], Documents.complete

    async def watched(self: Documents, rows: list) -> object:
        made.append(len(rows))
        return await whole(self, rows)

    monkeypatch.setattr(Documents, "complete", watched)
    path = f"{CONFIGURATION}/dns_server/?limit=0&order_by=-id"
    answer = await client.call("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert made == [AT_ONCE, AT_ONCE, 7]
    listed = sdk_client.read_list("configuration/v1/dns_server", answer.body)
    assert (listed["meta"]["total_count"], listed["meta"]["next"]) == (count, "")
    ids = [each["id"] for each in listed["objects"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == count
    head = await client.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")


async def test_a_long_list_leaves_out_what_was_deleted_while_it_was_sent(client: Client, monkeypatch):
    monkeypatch.setattr(handlers, "AT_ONCE", 2)
    store, whole = client.api.operations.context.store.documents, Documents.complete
    for number in range(6):
        await store.add("dns_server", {"address": f"198.51.100.{number}"})

    async def fewer(self: Documents, rows: list) -> object:
        return [row for row in await whole(self, rows) if row["id"] not in {3, 4, 6}]

    monkeypatch.setattr(Documents, "complete", fewer)
    found = await client.get(f"{CONFIGURATION}/dns_server/", limit=0)
    assert [each["id"] for each in found["objects"]] == [1, 2, 5]


async def test_a_long_list_that_fails_on_the_way_is_cut_off_and_never_looks_whole(
    client: Client, monkeypatch
):
    monkeypatch.setattr(handlers, "AT_ONCE", 2)
    store, whole = client.api.operations.context.store.documents, Documents.complete
    for number in range(6):
        await store.add("dns_server", {"address": f"198.51.100.{number}"})
    path, failing_at = f"{CONFIGURATION}/dns_server/?limit=0", 5

    async def failing(self: Documents, rows: list) -> object:
        if any(row["id"] == failing_at for row in rows):
            raise StorageError("the disk is gone")
        return await whole(self, rows)

    monkeypatch.setattr(Documents, "complete", failing)
    with pytest.raises(aiohttp.ClientError):
        await client.call("GET", path)
    failing_at = 1
    assert (await client.call("GET", path)).status == 503


async def test_a_create_that_is_sent_twice_at_once_makes_one(client: Client):
    await client.post(LOCATIONS, {"name": "Oslo"})
    answers = await asyncio.gather(*(client.call("POST", WORKERS, worker(1)) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 400, 400]
    others = [worker(2, name=f"other{number}", hostname=f"other{number}") for number in range(3)]
    answers = await asyncio.gather(*(client.call("POST", WORKERS, body) for body in others))
    assert sorted(answer.status for answer in answers) == [201, 400, 400]


async def test_a_token_of_our_own_api_signs_in_here_too(client: Client):
    users = client.api.operations.users
    token, _ = await users.new_token(USERS[Role.READ_ONLY], label="l", days=1, scope=None, actor="test")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 200
