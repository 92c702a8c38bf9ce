"""A conversation of each family of clients, replayed: what each sends, and what each makes of the answers."""

import hashlib
import re
import ssl
from pathlib import Path

import pytest

from common.api.codes import Role
from manager.infinity_api.contract.index import RESOURCES
from tests.fakes import cli_client, sdk_client
from tests.fakes.clients import JSON, Cli, Sdk, Terraform
from tests.integration.infinity_api.platform import (
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
    upload,
    worker,
)
from tests.unit.pki.openssl import sign_request


async def test_the_sdk_reads_everything_that_it_lists(client: Client):
    sdk = Sdk(client)
    await client.post(CERTIFICATES, upload(leaf("a.example.test", days=5)))
    await client.post(AUTHORITIES, {"certificate": CA.certificate_pem})
    await client.post(REQUESTS, {"subject_name": "a.example.test", "private_key_type": "ECDSAP256"})
    await client.post(LOCATIONS, {"name": "Oslo"})
    await client.post_worker(worker())
    await client.api.use_cases.alarms.evaluator.evaluate(client.api.fleet)
    for resource in sdk_client.SHAPES:
        found = await sdk.list(resource, limit=50, offset=0, name__icontains="")
        if resource not in {*sdk_client.SMALL_SHAPES, "configuration/v1/oauth2_client"}:
            assert found, resource
        for each in found:
            assert await sdk.get(resource, each["id"]) == each


async def test_the_sdk_searches_by_a_name_that_certificates_do_not_have(client: Client):
    assert (
        len(await Sdk(client).list("configuration/v1/tls_certificate", name__icontains="x", order_by="id"))
        == 1
    )


async def test_the_sdk_sends_an_empty_body_when_it_tries_again_and_makes_nothing(client: Client):
    made = await client.call("POST", CERTIFICATES, data=b"", headers=JSON)
    assert (made.status, set(made.json)) == (400, {"error"})
    assert (await client.get(CERTIFICATES))["meta"]["total_count"] == 1


async def test_the_sdk_imports_by_the_path_that_it_has(client: Client):
    made = leaf("a.example.test")
    body = {"bundle": made.certificate_pem + made.key_pem, "private_key_passphrase": ""}
    answer = await Sdk(client).send("POST", "command/v1/certificates/import/", body)
    assert answer.json["status"] == "success"
    (found,) = await Sdk(client).list("configuration/v1/tls_certificate", subject_name="a.example.test")
    assert found["certificate"] == made.certificate_pem


async def test_the_sdk_tells_a_missing_object_by_its_error(client: Client):
    with pytest.raises(LookupError, match="404"):
        await Sdk(client).get("configuration/v1/tls_certificate", 99)


async def test_terraform_keeps_a_certificate(client: Client):
    terraform, kept = Terraform(client, "tls_certificate"), {"private_key", "private_key_passphrase"}
    one, two = leaf("one.example.test"), leaf("one.example.test")
    planned = {
        "certificate": one.certificate_pem + ISSUER.certificate_pem,
        "private_key": one.encrypted_key_pem("a-phrase-in-the-plan"),
        "private_key_passphrase": "a-phrase-in-the-plan",
        "parameters": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
    }
    number, answer = await terraform.create(planned, kept=kept)
    assert answer.body == b""
    imported = await terraform.read(number)
    assert imported is not None
    assert (imported["private_key"], imported["private_key_passphrase"]) == ("", "")
    # after an import the plan has a key that the state has not
    await terraform.update(number, planned, kept=kept)
    await terraform.update(
        number, {"certificate": two.certificate_pem, "private_key": two.key_pem}, kept=kept
    )
    found = await terraform.read(number)
    assert found is not None
    assert found["parameters"] == planned["parameters"]
    await terraform.delete(number)


async def test_terraform_keeps_a_trusted_ca(client: Client):
    terraform = Terraform(client, "ca_certificate")
    root, _ = await terraform.create({"certificate": CA.certificate_pem, "trusted_intermediate": False})
    number, _ = await terraform.create({"certificate": ISSUER.certificate_pem, "trusted_intermediate": True})
    await terraform.update(number, {"certificate": ISSUER.certificate_pem, "trusted_intermediate": False})
    await terraform.update(root, {"certificate": CA.certificate_pem, "trusted_intermediate": False})
    await terraform.delete(number)
    await terraform.delete(root)


async def test_terraform_keeps_a_request(client: Client, tmp_path: Path):
    terraform = Terraform(client, "certificate_signing_request")
    hidden = {
        *(
            "dn",
            "additional_subject_alt_names",
            "private_key_type",
            "private_key_passphrase",
            "ad_compatible",
        ),
    }
    planned = {
        "subject_name": "a.example.test",
        "dn": "",
        "additional_subject_alt_names": "b.example.test",
        "private_key_type": "ECDSAP256",
        "private_key_passphrase": "",
        "ad_compatible": False,
        "tls_certificate": None,
    }
    number, _ = await terraform.create(planned, kept=hidden)
    found = await terraform.read(number)
    assert found is not None
    signed = sign_request(found["csr"], ISSUER, cwd=tmp_path)
    await terraform.update(number, {**planned, "certificate": signed}, kept=hidden)
    again = await terraform.read(number)
    assert again == {**found, "certificate": signed}
    await terraform.delete(number)


async def test_terraform_keeps_a_node_and_its_location(client: Client):
    locations, nodes = Terraform(client, "system_location"), Terraform(client, "worker_vm")
    named = {"name": "n", "address": "192.0.2.7"}
    turn = await client.post(f"{CONFIGURATION}/turn_server/", named)
    proxy = await client.post(f"{CONFIGURATION}/http_proxy/", named)
    key = await client.post(f"{CONFIGURATION}/ssh_authorized_key/", {"keytype": "ssh-ed25519", "key": "AAAA"})
    place = {
        "name": "Oslo",
        "description": "",
        "mtu": 1500,
        "dns_servers": [],
        "ntp_servers": [],
        "client_turn_servers": [turn],
        "http_proxy": proxy,
        "h323_gatekeeper": None,
        "bdpm_pin_checks_enabled": "GLOBAL",
    }
    location, _ = await locations.create(place)
    one, two = leaf("conf1.example.test"), leaf("conf1.example.test")
    first = await client.post(CERTIFICATES, upload(one))
    second = await client.post(CERTIFICATES, upload(two))
    hidden = {
        "password",
        "deployment_type",
        "vm_cpu_count",
        "vm_system_memory",
        "snmp_authentication_password",
    }
    planned = {
        **worker(system_location=f"{LOCATIONS}{location}/", tls_certificate=first),
        "tls_client_certificate": None,
        "alternative_fqdn": "",
        "node_type": "CONFERENCING",
        "deployment_type": "MANUAL-PROVISION-ONLY",
        "vm_cpu_count": 4,
        "vm_system_memory": 4096,
        "ipv6_address": None,
        "maintenance_mode": False,
        "enable_ssh": "GLOBAL",
        "ssh_authorized_keys": [key],
        "static_routes": [],
        "snmp_mode": "DISABLED",
        "snmp_authentication_password": "",
        "password": "the-nodes-own-password",
    }
    number, answer = await nodes.create(planned, kept=hidden)
    # kept by the provider as the node's `config`
    assert answer.json["join_token"].startswith("certcast1.")
    await nodes.update(number, {**planned, "tls_certificate": second}, method="PUT", kept=hidden)
    await nodes.update(
        number, {**planned, "tls_certificate": None, "description": "d"}, method="PUT", kept=hidden
    )
    await locations.update(location, {**place, "description": "d"}, method="PUT")
    await nodes.delete(number)
    await locations.delete(location)


async def test_terraform_adopts_the_management_node_and_lets_go_of_it(client: Client):
    terraform, sdk = Terraform(client, "management_vm"), Sdk(client)
    (found,) = [each for each in await sdk.list("configuration/v1/management_vm") if each["primary"]]
    certificate = await client.post(CERTIFICATES, upload(leaf("manager.example.test")))
    planned = {
        "name": found["name"],
        "tls_certificate": certificate,
        "tls_client_certificate": None,
        "ipv6_address": None,
        "http_proxy": None,
        "snmp_network_management_system": None,
        "mtu": 1400,
        "snmp_community": "public",
    }
    await terraform.update(found["id"], planned)
    await sdk.send("DELETE", "configuration/v1/tls_certificate/1/")
    defaults = {**planned, "tls_certificate": None, "mtu": 1500, "dns_servers": [], "enable_ssh": "GLOBAL"}
    await terraform.update(found["id"], defaults)
    # it is no object of theirs to delete
    assert await terraform.read(found["id"]) is not None


async def test_the_command_line_client_caches_gets_posts_patches_and_deletes(client: Client):
    cli, certificates = Cli(client), "configuration/v1/tls_certificate"
    login = await client.call("GET", f"{ROOT}/status/v1/worker_vm/?limit=1&offset=0", role=Role.READ_ONLY)
    assert cli_client.read_list(login.body).meta.limit == 1
    await cli.cache()
    assert len(cli.schemas) == len(RESOURCES)
    made, again = leaf("a.example.test"), leaf("a.example.test")
    # $(cat file) takes the last line's end away
    shown = await cli.act(
        "post",
        certificates,
        certificate=made.certificate_pem.rstrip("\n"),
        private_key=made.key_pem.rstrip("\n"),
    )
    (found,) = await cli.get(certificates, subject_name="a.example.test")
    assert shown == found["resource_uri"]
    await cli.act(
        "patch", certificates, found["id"], certificate=again.certificate_pem, private_key=again.key_pem
    )
    assert (
        len(
            await cli.get(certificates, subject_name__icontains="EXAMPLE", end_date__gt="2020-01-01T00:00:00")
        )
        == 2
    )
    await cli.act("delete", certificates, found["id"])
    bundle = made.certificate_pem + made.key_pem
    await cli.act("post", "command/v1/platform/certificates_import", bundle=bundle)
    location = await cli.act("post", "configuration/v1/system_location", name="Oslo")
    body = worker(system_location=location)
    await cli.act("post", "configuration/v1/worker_vm", **body)
    (node,) = await cli.get("status/v1/worker_vm", system_location="Oslo")
    assert node["sync_status"] == "NOT_JOINED"


async def test_the_command_line_client_reads_more_than_a_page(client: Client):
    cli = Cli(client)
    await cli.cache()
    store = client.api.context.store.documents
    for number in range(501):
        await store.add("dns_server", {"address": f"198.51.100.{number}", "description": ""})
    assert len(await cli.get("configuration/v1/dns_server")) == 501


async def test_the_renewal_script_imports_finds_assigns_and_cleans_up(client: Client):
    await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker())
    for _ in range(2):
        made = leaf("meet.example.test")
        text = made.certificate_pem + ISSUER.certificate_pem + made.key_pem
        answer = await client.call("POST", IMPORT, {"bundle": text})
        assert answer.status in {200, 201, 202, 204}
        found = (await client.get(CERTIFICATES, subject_name="meet.example.test"))["objects"]
        own = fingerprint(made.certificate_pem)
        (new,) = [each["resource_uri"] for each in found if fingerprint(each["certificate"]) == own]
        manager = (await client.get(MANAGERS))["objects"][0]["resource_uri"]
        for at in (node, manager):
            assert (await client.call("PATCH", at, {"tls_certificate": new})).status in {200, 202, 204}
            assert (await client.get(at))["tls_certificate"] == new
        used = {
            each["tls_certificate"]
            for path in (MANAGERS, WORKERS)
            for each in (await client.get(path, limit=0))["objects"]
        }
        for each in found:
            if each["resource_uri"] not in used:
                assert (await client.call("DELETE", each["resource_uri"])).status in {200, 204}
    (left,) = (await client.get(CERTIFICATES, subject_name="meet.example.test"))["objects"]
    assert (left["resource_uri"], sorted(left["nodes"])) == (
        new,
        ["conf1.example.test", "manager.example.test"],
    )


def fingerprint(text: str) -> str:
    first = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    assert first is not None
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[0])).hexdigest()


async def test_the_node_deployer_sends_no_type_two_slashes_and_registers_servers_by_address(client: Client):
    for kind, address in (("dns_server", "192.0.2.53"), ("ntp_server", "192.0.2.123")):
        path = f"/{CONFIGURATION}/{kind}/"
        assert (await client.get(path, address=address))["objects"] == []
        await client.post(path, {"address": address})
        (found,) = (await client.get(path, address=address, limit=100))["objects"]
        assert found["address"] == address
    data = b'{"name": "Oslo", "dns_servers": ["/api/admin/configuration/v1/dns_server/1/"]}'
    made = await client.call("POST", f"/{LOCATIONS}", data=data, skip_auto_headers=["Content-Type"])
    assert made.status == 201
    assert (await client.get(made.location))["dns_servers"][0]["address"] == "192.0.2.53"


async def test_the_production_monitor_expects_exact_codes_and_long_lists(client: Client):
    at = await client.post(LOCATIONS, {"name": "Oslo"})
    number = int(at.rstrip("/").split("/")[-1])
    node = await client.post_worker(worker(system_location=at))
    assert [each["name"] for each in (await client.get(WORKERS, system_location=number))["objects"]] == [
        "conf1"
    ]
    for query in ({"limit": 9999}, {"limit": 3000, "order_by": "-name"}, {"limit": 0}):
        listed = await client.get(f"{ROOT}/status/v1/worker_vm/", **query)
        assert len(listed["objects"]) == 1
    assert (await client.call("PATCH", node, {"maintenance_mode": True})).status == 202
    twice = await client.call("POST", LOCATIONS, {"name": "Oslo"})
    assert "already" in str(twice.json["system_location"])
    assert (await client.call("DELETE", node)).status == 204
