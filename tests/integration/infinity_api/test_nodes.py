"""Nodes and the management node: what they are made of, and what changes them."""

from pathlib import Path
from typing import Any

from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from tests import pki
from tests.fakes import sdk_client
from tests.integration.infinity_api.platform import (
    CERTIFICATES,
    CONFIGURATION,
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
        body = {"name": name, "names": [f"{name}.example.test"], "addresses": ["127.0.0.7"]}
        assert (await client.api.call("POST", "nodes", body))[0] == 201
    new = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    (at,) = [row["resource_uri"] for row in (await client.get(WORKERS, name="conf1"))["objects"]]
    assert (await client.call("PATCH", at, {"tls_certificate": new})).status == 202
    assert (await client.call("PATCH", at, {"address": "192.0.2.8"})).status == 202
    assert set((await client.call("PATCH", at, {"address": "127.0.0.7"})).json["worker_vm"]) == {"address"}


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


async def test_what_the_sdk_writes_back_of_a_node_that_it_read_changes_nothing(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    at = await client.post_worker(worker(system_location=location, vm_cpu_count=8, vm_system_memory=8000))
    inventory = await client.api.use_cases.inventory()
    (kept,) = [each.detail for each in inventory.nodes.values() if each.kind == "node"]
    read = sdk_client.read_object("configuration/v1/worker_vm", (await client.call("GET", at)).body)
    # what the answer does not show is its type's zero there, and null for what may be left out
    assert (read["vm_cpu_count"], read["vm_system_memory"], read["deployment_type"]) == (0, 0, "")
    body = {**read, **dict.fromkeys(["tls_certificate", "tls_client_certificate", "media_priority_weight"])}
    body |= dict.fromkeys(["ipv6_address", "ipv6_gateway", "secondary_address", "secondary_netmask"])
    body |= dict.fromkeys(["static_nat_address", "ssh_authorized_keys", "static_routes"])
    del body["deployment_type"]
    shown = await client.get(at)
    assert (await client.call("PUT", at, body)).status == 204
    assert await client.get(at) == shown
    inventory = await client.api.use_cases.inventory()
    assert [each.detail for each in inventory.nodes.values() if each.kind == "node"] == [kept]
    assert (kept["vm_cpu_count"], kept["vm_system_memory"]) == (8, 8000)
    for zero in (0, "0"):
        new = {
            "name": f"n{zero!r}",
            "hostname": f"n{len(str(zero))}{type(zero).__name__}",
            "address": f"192.0.2.{30 + len(repr(zero))}",
        }
        other = await client.post_worker(worker(2, system_location=location, vm_cpu_count=zero, **new))
        assert (await client.call("PATCH", other, {"vm_system_memory": zero})).status == 202
    assert (await client.call("PATCH", at, {"vm_cpu_count": 1})).status == 400


async def test_null_takes_no_certificate_from_the_nodes_that_have_it(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("manager.example.test"), nodes=["manager.example.test"]))
    assert (await client.call("PATCH", at, {"nodes": None, "parameters": None})).status == 202
    assert (await client.get(at))["nodes"] == ["manager.example.test"]
    assert (await client.call("PATCH", at, {"nodes": []})).status == 202
    assert (await client.get(at))["nodes"] == []


async def test_a_script_that_deletes_what_no_node_shows_leaves_the_temporary_certificate_of_a_node(
    client: Client,
):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker(system_location=location))
    unused = await client.post(CERTIFICATES, upload(leaf("old.example.test")))
    slots = (await client.api.use_cases.inventory()).slots
    nodes = [*(await client.get(MANAGERS))["objects"], *(await client.get(WORKERS))["objects"]]
    used = {each["tls_certificate"] for each in nodes}
    for each in (await client.get(CERTIFICATES))["objects"]:
        if each["resource_uri"] in used:
            continue
        answer = await client.call("DELETE", each["resource_uri"])
        assert answer.status == (204 if each["resource_uri"] == unused else 400), answer
    several = {"objects": [], "deleted_objects": [f"{CERTIFICATES}1/"]}
    refused = await client.call("PATCH", CERTIFICATES, several)
    assert refused.json == {
        "tls_certificate": {
            "__all__": ["management has only this temporary certificate; assign another first."]
        }
    }
    assert (await client.call("DELETE", CERTIFICATES)).status == 204
    assert (await client.api.use_cases.inventory()).slots == slots
    # once another is assigned it can go
    real = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    assert (await client.call("PATCH", node, {"tls_certificate": real})).status == 202
    assert (await client.call("DELETE", f"{CERTIFICATES}2/")).status == 204


async def test_the_list_of_nodes_is_read_by_the_older_sdk_while_one_has_never_joined(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    await client.post_worker(worker(system_location=location))
    answer = await client.call("GET", f"{ROOT}/status/v1/worker_vm/")
    sdk_client.read_list("status/v1/worker_vm", answer.body)
    (shown,) = answer.json["objects"]
    assert (shown["sync_status"], shown["boot_time"]) == ("NOT_JOINED", None)
    assert not {"last_attempted_contact", "last_updated", "last_reported"} & set(shown)


async def test_an_fqdn_gives_a_certificate_to_its_node_and_not_to_one_that_is_reached_by_it_too(
    client: Client,
):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    reached = {"system_location": location, "alternative_fqdn": "conf2.example.test"}
    first, second = (
        await client.post_worker(worker(1, **reached)),
        await client.post_worker(worker(2, system_location=location)),
    )
    made = await client.post(CERTIFICATES, upload(leaf("conf2.example.test"), nodes=["conf2.example.test"]))
    assert (await client.get(made))["nodes"] == ["conf2.example.test"]
    assert (await client.get(first))["tls_certificate"] is None
    assert (await client.get(second))["tls_certificate"] == made


async def test_nodes_and_the_management_node_have_no_name_in_common(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker(system_location=location))
    wanted = {"name": "Management", "hostname": "manager"}
    for method, at, body in (
        ("POST", WORKERS, worker(2, system_location=location, **wanted)),
        ("PATCH", node, wanted),
        ("PATCH", f"{MANAGERS}1/", {"name": "CONF1", "hostname": "conf1", "domain": "example.test"}),
    ):
        refused = await client.call(method, at, body)
        ((_, findings),) = refused.json.items()
        assert (refused.status, set(findings)) == (400, {"name", "hostname"})
        assert all("already exists" in texts[0] for texts in findings.values())
    # where the manager runs, a node may run
    assert (await client.call("PATCH", node, {"address": "192.0.2.1"})).status == 202


async def test_a_node_that_was_added_elsewhere_meanwhile_is_said_to_exist_already(
    client: Client, monkeypatch
):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    add = client.api.use_cases.nodes.add

    async def late(name: str, described: NodeDescription, *, maker: Maker, actor: str) -> Any:
        monkeypatch.undo()
        await add(name, NodeDescription(names=[], addresses=[]), maker=maker, actor="somebody else")
        return await add(name, described, maker=maker, actor=actor)

    monkeypatch.setattr(client.api.use_cases.nodes, "add", late)
    refused = await client.call("POST", WORKERS, worker(system_location=location))
    assert (refused.status, refused.json) == (
        400,
        {"worker_vm": {"name": ["Conferencing Node with this name already exists."]}},
    )
