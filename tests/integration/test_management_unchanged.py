"""The existing clients, unchanged: what each sends and what it makes of the answers, row by row."""

import json
import re
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from manager.domain.alarms import AlarmKind, Changes, Condition, Subject
from manager.domain.model import Role
from manager.infinity_api.contract.alarms import LEVELS
from manager.infinity_api.contract.description import Method, Namespace
from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.contract.resources.platform import GLOBAL
from manager.infinity_api.contract.resources.small import SMALL
from tests import pki
from tests.fakes import sdk_client, splunk_client
from tests.integration.management import (
    AUTHORITIES,
    CA,
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
    management,
    upload,
    worker,
)
from tests.integration.test_management_clients import Terraform
from tests.unit.pki.openssl import sign_request

AT = {"address": "192.0.2.7"}
NAMED = {"name": "n", **AT}


@pytest.fixture
async def client(tmp_path: Path):
    async with management(tmp_path) as made:
        yield made


async def tenant(client: Client) -> str:
    return await client.post(f"{CONFIGURATION}/azure_tenant/", {"name": "t", "tenant_id": "t-1"})


async def whole_bodies(client: Client) -> dict[str, dict[str, Any]]:
    """Return a body with every field for each small resource, none of them the default, as the current Go client sends it."""
    login = {"username": "u", "password": "a-secret-of-theirs"}
    lookups = ("service", "participant", "registration", "directory", "avatar", "media_location")
    internal = ("service", "participant", "media_location")
    return {
        "dns_server": {**AT, "description": "d"},
        "ntp_server": {**AT, "description": "d", "key_id": 7, "key": "a-secret-of-theirs"},
        "syslog_server": {
            **AT,
            "description": "d",
            "port": 6514,
            "transport": "tls",
            "audit_log": False,
            "support_log": False,
            "web_log": False,
            "proto_format": "rfc5424",
        },
        "static_route": {"name": "n", "address": "198.51.100.0", "prefix": 25, "gateway": "192.0.2.1"},
        "event_sink": {
            "name": "n",
            "description": None,
            "url": f"https://sink.example.test/{'p' * 400}",
            **login,
            "bulk_support": True,
            "verify_tls_certificate": True,
            "version": 3,
            "restart_date": "2026-01-02T03:04:05",
        },
        "ssh_authorized_key": {
            "keytype": "ssh-ed25519",
            "key": "AAAAC3",
            "comment": "c",
            "nodes": [f"{MANAGERS}1/"],
        },
        "http_proxy": {**NAMED, "port": 8080, **login, "protocol": "http"},
        "snmp_network_management_system": {
            **NAMED,
            "description": "d",
            "port": 162,
            "snmp_trap_community": "c",
        },
        "mssip_proxy": {**NAMED, "description": "d", "port": None, "transport": "tcp"},
        "sip_proxy": {**NAMED, "description": "d", "port": 5061, "transport": "tcp"},
        "policy_server": {
            "name": "n",
            "description": "d",
            "url": "https://policy.example.test",
            **login,
            **{f"enable_{what}_lookup": True for what in lookups},
            **{f"enable_internal_{what}_policy": True for what in internal},
            **{f"internal_{what}_policy_template": "{}\n" for what in internal},
            "prefer_local_avatar_configuration": True,
        },
        "h323_gatekeeper": {**NAMED, "description": "d", "port": 1719},
        "turn_server": {
            **NAMED,
            "description": "d",
            "port": 443,
            **login,
            "secret_key": "a-secret-of-theirs",
            "server_type": "coturn_shared",
            "transport_type": "tls",
        },
        "stun_server": {**NAMED, "description": "d", "port": 3479},
        "azure_tenant": {"name": "n", "description": "d", "tenant_id": "t-2"},
        "teams_proxy": {
            **NAMED,
            "description": "d",
            "port": 8443,
            "azure_tenant": await tenant(client),
            "eventhub_id": "e",
            "min_number_of_instances": 3,
            "notifications_enabled": True,
            "notifications_queue": "q",
            "updated": None,
        },
    }


SECRET = {"password", "secret_key", "key"}


def told(resource: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer must have of a body: all but secrets."""
    hidden = SECRET if resource != "ssh_authorized_key" else set[str]()
    return {name: value for name, value in body.items() if name not in hidden}


async def test_every_field_of_the_small_resources_comes_back_as_it_was_sent(client: Client):
    bodies = await whole_bodies(client)
    assert set(bodies) == {resource.name for resource in SMALL}
    for name, body in bodies.items():
        at = await client.post(f"{CONFIGURATION}/{name}/", body)
        answer = await client.call("GET", at)
        assert {field: answer.json[field] for field in told(name, body)} == told(name, body)
        assert b"a-secret-of-theirs" not in answer.body
        sdk_client.read_object(f"configuration/v1/{name}", answer.body)
        # and the schema knows each of them
        schema = await client.get(f"{CONFIGURATION}/{name}/schema/")
        assert set(body) <= set(schema["fields"])


async def test_secrets_are_checked_and_stand_in_no_answer_no_audit_entry_and_no_file(client: Client, capfd):
    bodies = await whole_bodies(client)
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = {"password": "a-secret-of-theirs", "snmp_privacy_password": "a-secret-of-theirs"}
    made = [await client.post_worker(worker(system_location=location, **node))]
    made += [await client.post(f"{CONFIGURATION}/{name}/", bodies[name]) for name in bodies]
    settings = {resource.name: "a-secret-of-theirs" for resource in GLOBAL.fields if resource.secret}
    assert len(settings) > 3
    made.append(f"{CONFIGURATION}/global/1/")
    assert (await client.call("PATCH", made[-1], settings)).status == 202
    for at in made:
        assert (await client.call("PATCH", at, {"description": "a-mark-of-theirs"})).status == 202
        assert b"a-secret" not in (await client.call("GET", at)).body
        wrong = await client.call(
            "PATCH", at, {"password": ["a-secret-of-theirs"], "secret_key": {"x": "a-secret-of-theirs"}}
        )
        assert b"a-secret" not in wrong.body
    files = {path.name: path.read_bytes() for path in client.api.directory.rglob("*") if path.is_file()}
    # the test can find what is kept
    assert any(b"a-mark-of-theirs" in content for content in files.values())
    assert [name for name, content in files.items() if b"a-secret-of-theirs" in content] == []
    assert "a-secret" not in "".join(capfd.readouterr())


async def test_a_put_of_nothing_is_204_and_keeps_everything_on_every_resource_that_has_one(
    client: Client,
):
    made = [
        await client.post(f"{CONFIGURATION}/{name}/", body)
        for name, body in (await whole_bodies(client)).items()
    ]
    location = await client.post(LOCATIONS, {"name": "Oslo", "description": "d", "mtu": 1400})
    made += [
        location,
        await client.post_worker(worker(system_location=location, description="d", node_type="PROXYING")),
        await client.post(REQUESTS, {"subject_name": "a.example.test", "private_key_type": "ECDSAP256"}),
        await client.post(
            f"{CONFIGURATION}/role/", {"name": "r", "permissions": [f"{CONFIGURATION}/permission/2/"]}
        ),
        f"{CONFIGURATION}/global/1/",
        f"{MANAGERS}1/",
    ]
    created = await client.call(
        "POST", f"{CONFIGURATION}/oauth2_client/", {"client_name": "c", "role": f"{CONFIGURATION}/role/1/"}
    )
    made.append(created.location)
    with_put = {
        resource.name
        for resource in RESOURCES
        if resource.namespace is Namespace.CONFIGURATION and Method.PUT in resource.detail_methods
    }
    assert {at.split("/")[-3] for at in made} == with_put
    for at in made:
        before = await client.get(at)
        answer = await client.call("PUT", at, {})
        assert (answer.status, answer.body) == (204, b""), (at, answer)
        assert await client.get(at) == before


async def test_a_put_changes_what_it_names_and_keeps_what_it_leaves_out(client: Client):
    bodies = await whole_bodies(client)
    for name, field, value in (
        ("syslog_server", "port", 99),
        ("event_sink", "url", "https://other.example.test"),
        ("turn_server", "port", 3478),
    ):
        at = await client.post(f"{CONFIGURATION}/{name}/", bodies[name])
        before = await client.get(at)
        assert (await client.call("PUT", at, {field: value})).status == 204
        assert await client.get(at) == {**before, field: value}


async def test_null_for_what_cannot_be_null_keeps_the_value_and_takes_the_default_on_creation(
    client: Client,
):
    location = await client.post(LOCATIONS, {"name": "Oslo", "mtu": None, "description": None})
    shown = await client.get(location)
    assert (shown["mtu"], shown["description"]) == (1500, "")
    body = worker(system_location=location, media_priority_weight=None, enable_ssh=None)
    at = await client.post_worker(body)
    shown = await client.get(at)
    assert (shown["media_priority_weight"], shown["enable_ssh"]) == (0, "GLOBAL")
    changed = {"media_priority_weight": 7, "enable_ssh": "OFF", "maintenance_mode": True}
    assert (await client.call("PATCH", at, changed)).status == 202
    shown = await client.get(at)
    for method, status in (("PUT", 204), ("PATCH", 202)):
        nothing = dict.fromkeys([*changed, "name", "hostname", "address", "system_location", "snmp_mode"])
        answer = await client.call(method, at, nothing)
        assert answer.status == status, answer
        assert await client.get(at) == shown
    missing = await client.call("POST", LOCATIONS, {"name": None})
    assert (missing.status, missing.error) == (
        400,
        "The 'name' field has no data and doesn't allow a default or null value.",
    )
    several = {"objects": [{"resource_uri": at, "media_priority_weight": None, "description": "e"}]}
    assert (await client.call("PATCH", WORKERS, several)).status == 202
    assert await client.get(at) == {**shown, "description": "e"}


async def test_what_the_sdk_writes_back_of_a_node_that_it_read_changes_nothing(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    at = await client.post_worker(worker(system_location=location, vm_cpu_count=8, vm_system_memory=8000))
    inventory = await client.api.operations.context.inventories.current()
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
    inventory = await client.api.operations.context.inventories.current()
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


async def test_the_empty_values_of_a_type_that_was_not_filled_in_change_nothing(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo", "mtu": 1400, "bdpm_pin_checks_enabled": "ON"})
    at = await client.post_worker(
        worker(system_location=location, node_type="PROXYING", enable_ssh="ON", snmp_mode="STANDARD")
    )
    sink = await client.post(
        f"{CONFIGURATION}/event_sink/", {"name": "s", "url": "https://x.test", "version": 2}
    )
    for where, body in (
        (location, {"mtu": 0, "bdpm_pin_checks_enabled": ""}),
        (at, {"node_type": "", "enable_ssh": "", "snmp_mode": "", "vm_cpu_count": 0}),
        (sink, {"version": 0}),
        (f"{MANAGERS}1/", {"mtu": 0, "enable_ssh": "", "snmp_mode": ""}),
    ):
        before = await client.get(where)
        assert (await client.call("PUT", where, body)).status == 204, body
        assert await client.get(where) == before
    made = await client.post(
        f"{CONFIGURATION}/event_sink/", {"name": "t", "url": "https://x.test", "version": 0}
    )
    assert (await client.get(made))["version"] == 1
    assert (await client.call("PATCH", location, {"mtu": 1})).status == 400


async def test_null_takes_no_certificate_from_the_nodes_that_have_it(client: Client):
    at = await client.post(CERTIFICATES, upload(leaf("manager.example.test"), nodes=["manager.example.test"]))
    assert (await client.call("PATCH", at, {"nodes": None, "parameters": None})).status == 202
    assert (await client.get(at))["nodes"] == ["manager.example.test"]
    assert (await client.call("PATCH", at, {"nodes": []})).status == 202
    assert (await client.get(at))["nodes"] == []


async def test_fields_that_nobody_described_are_kept_by_what_is_kept_and_ignored_elsewhere(client: Client):
    more = {
        "events": [{"name": "conference_started"}],
        "live_captions_dial_out1": None,
        "ratio": 0.5,
        "depth": {"a": [1, True, "x"]},
    }
    location = await client.post(LOCATIONS, {"name": "Oslo", **more})
    sink = await client.post(f"{CONFIGURATION}/event_sink/", {"name": "s", "url": "https://x.test", **more})
    node = await client.post_worker(worker(system_location=location, **more))
    for at, method, status in (
        (location, "PUT", 204),
        (sink, "PATCH", 202),
        (node, "PUT", 204),
        (f"{MANAGERS}1/", "PATCH", 202),
        (f"{CONFIGURATION}/global/1/", "PUT", 204),
    ):
        if at not in {location, sink, node}:
            assert (await client.call(method, at, more)).status == status
        assert {name: (await client.get(at))[name] for name in more} == more
        assert (await client.call(method, at, {"ratio": 2})).status == status
        assert {name: (await client.get(at))[name] for name in more} == {**more, "ratio": 2}
    hidden = {"api_token": "a-secret", "client_secret": "a-secret", "x__y": 1, "A": 1, "": 2}
    assert (await client.call("PATCH", sink, hidden)).status == 202
    assert not set(hidden) & set(await client.get(sink))
    for too_much in ({f"f{number}": 1 for number in range(101)}, {"f": "x" * 70_000}):
        answer = await client.call("PATCH", sink, too_much)
        assert (answer.status, set(answer.json["event_sink"])) == (400, {"__all__"})
    certificate = await client.post(CERTIFICATES, upload(leaf("a.example.test"), **more))
    assert not set(more) & set(await client.get(certificate))


async def test_what_nobody_described_does_not_grow_from_one_change_to_the_next(client: Client):
    sink = await client.post(f"{CONFIGURATION}/event_sink/", {"name": "s", "url": "https://x.test"})
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker(system_location=location))
    first, second = ({f"{letter}{number}": 1 for number in range(60)} for letter in "ab")
    for at in (sink, node, f"{CONFIGURATION}/global/1/"):
        assert (await client.call("PATCH", at, first)).status == 202
        assert (await client.call("PUT", at, first)).status == 204
        refused = await client.call("PATCH", at, second)
        assert (refused.status, "beyond those of the schema" in refused.body.decode()) == (400, True)
        assert not set(second) & set(await client.get(at))


async def test_the_certificate_that_answered_a_request_comes_back_byte_for_byte(
    client: Client, tmp_path: Path
):
    body = {"subject_name": "a.example.test", "private_key_type": "ECDSAP256", "certificate": ""}
    at = await client.post(REQUESTS, body)
    signed = sign_request((await client.get(at))["csr"], ISSUER, cwd=tmp_path)
    given = f"A comment of the CA\n{signed}\n\n{ISSUER.certificate_pem}"
    assert (await client.call("PATCH", at, {"certificate": given})).status == 202
    assert (await client.get(at))["certificate"] == given
    # an unrelated change sends it again; the entry that came of it may be gone by then
    made = (await client.get(CERTIFICATES, subject_name="a.example.test"))["objects"]
    assert [each["certificate"] for each in made] == [given]
    await client.call("DELETE", made[0]["resource_uri"])
    assert (await client.call("PATCH", at, {**body, "certificate": given})).status == 202
    assert (await client.get(at))["certificate"] == given
    assert (await client.get(CERTIFICATES, subject_name="a.example.test"))["objects"] == []
    for field, value in (("subject_name", "b.example.test"), ("tls_certificate", f"{CERTIFICATES}1/")):
        refused = await client.call("PUT", at, {field: value})
        assert (refused.status, set(refused.json["certificate_signing_request"])) == (400, {field})


async def test_null_means_that_only_the_temporary_certificate_is_there_and_never_takes_it_away(
    client: Client,
):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker(system_location=location))
    for at, name in ((node, "conf1"), (f"{MANAGERS}1/", "management")):
        operations = client.api.operations
        before = (await operations.context.inventories.current()).slots[name, "server"]
        shown = await client.get(at)
        assert (shown["tls_certificate"], shown["tls_client_certificate"]) == (None, None)
        # both providers send it with every change of something else
        for method in ("PUT", "PATCH"):
            unrelated = {"tls_certificate": None, "tls_client_certificate": None, "description": method}
            assert (await client.call(method, at, unrelated)).status in {202, 204}
            assert (await operations.context.inventories.current()).slots[name, "server"] == before
        real = await client.post(CERTIFICATES, upload(leaf(f"{name}.example.test")))
        both = {"tls_certificate": real, "tls_client_certificate": real}
        assert (await client.call("PATCH", at, both)).status == 202
        shown = await client.get(at)
        assert {field: shown[field] for field in both} == both
        assert (await client.call("PUT", at, {"description": "left out"})).status == 204
        assert (await client.get(at))["tls_certificate"] == real
        assert (await client.call("PATCH", at, dict.fromkeys(both))).status == 202
        shown = await client.get(at)
        assert {field: shown[field] for field in both} == dict.fromkeys(both)
        assert (name, "server") not in (await operations.context.inventories.current()).slots
    filtered = await client.get(WORKERS, tls_certificate__isnull="true")
    assert [each["resource_uri"] for each in filtered["objects"]] == [node]


async def test_a_script_that_deletes_what_no_node_shows_leaves_the_temporary_certificate_of_a_node(
    client: Client,
):
    location = await client.post(LOCATIONS, {"name": "Oslo"})
    node = await client.post_worker(worker(system_location=location))
    unused = await client.post(CERTIFICATES, upload(leaf("old.example.test")))
    slots = (await client.api.operations.context.inventories.current()).slots
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
    assert (await client.api.operations.context.inventories.current()).slots == slots
    # once another is assigned it can go
    real = await client.post(CERTIFICATES, upload(leaf("conf1.example.test")))
    assert (await client.call("PATCH", node, {"tls_certificate": real})).status == 202
    assert (await client.call("DELETE", f"{CERTIFICATES}2/")).status == 204


async def raise_every_alarm(client: Client) -> None:
    """Let each kind of alarm stand: by what is wrong where that is easily made, and by hand."""
    conditions = [
        Condition(
            subject=Subject(kind, "node:management" if kind is AlarmKind.NO_CERTIFICATE else f"node:{kind}"),
            label=kind,
            details=f"{kind} is so.",
            node="management" if kind is AlarmKind.NO_CERTIFICATE else "",
        )
        for kind in AlarmKind
    ]
    await client.api.operations.context.store.alarms.apply(
        Changes(raised=conditions, lowered=[], reworded={}), now_s=1_800_000_000.0
    )


async def test_the_splunk_add_on_finds_alarms_by_name_and_level_and_reads_their_times(client: Client):
    await raise_every_alarm(client)
    store = client.api.operations.context.store.alarms
    since, hour = datetime(2027, 1, 15), timedelta(hours=1)  # noqa: DTZ001 - as the add-on has it
    found = await splunk_client.alarms(client.get, since)
    assert len(found) == len(AlarmKind)
    by_kind = {each["instance"]: each for each in found}
    expected = {
        "no_certificate": "tls_certificate_missing_management",
        "chain_incomplete": "tls_certificate_chains",
        "certificate_expiring": "tls_certificate_expiring",
        "certificate_expired": "tls_certificate_expiring",
        "ca_expiring": "trustedca_expiring",
        "ca_expired": "trustedca_expiring",
        "offline": "connectivity_lost",
        "out_of_sync": "configuration_sync_failure",
        "install_failed": "configuration_sync_failure",
    }
    for kind, name in expected.items():
        alarm = by_kind[kind]
        assert (alarm["name"], alarm["details"]) == (name, f"{kind} is so.")
        assert alarm["summary"]
        assert alarm["level"] in LEVELS
        named = await splunk_client.alarms(client.get, since, names=[name], levels=["critical", "error"])
        assert (kind in {each["instance"] for each in named}) is (alarm["level"] in {"critical", "error"})
    # by the title in its own list, and by the name that it misspells
    for name in ("Configuration Sync Failure", "confuration_sync_failure"):
        named = await splunk_client.alarms(client.get, since, names=[name])
        assert {"out_of_sync", "install_failed"} <= {each["instance"] for each in named}
    levels = await splunk_client.alarms(client.get, since, levels=["critical", "error"])
    assert {"offline", "certificate_expired"} <= {each["instance"] for each in levels}
    # what was raised before and lowered since is found by its end
    offline = [each for each in await store.active() if each.subject.kind is AlarmKind.OFFLINE]
    await store.apply(Changes(raised=[], lowered=offline, reworded={}), now_s=1_800_000_000.0 + 7200)
    late = await splunk_client.alarms(client.get, splunk_client.read_time("2027-01-15T08:00:00.5") + hour)
    assert [(each["name"], each["time_raised"], each["time_lowered"]) for each in late] == [
        ("connectivity_lost", "2027-01-15T08:00:00.000000", "2027-01-15T10:00:00.000000")
    ]
    now = await client.get(f"{ROOT}/status/v1/alarm/", name="connectivity_lost")
    assert now["objects"] == []
    now = await client.get(f"{ROOT}/status/v1/alarm/", name="trustedca_expiring", limit=0)
    assert [each["time_raised"] for each in now["objects"]] == ["2027-01-15T08:00:00.000000"] * 2
    for status in ("status/v1/alarm", "history/v1/alarm"):
        sdk_client.read_list(status, (await client.call("GET", f"{ROOT}/{status}/?limit=0")).body)


async def test_a_node_without_a_certificate_and_the_management_node_have_names_of_their_own(client: Client):
    await client.api.call("POST", "nodes", {"name": "conf1", "names": [], "addresses": []})
    await client.api.operations.certificates.delete([1, 2], force=True, actor="test")
    await client.api.operations.alarms.evaluate(client.api.fleet)
    for name, instance in (
        ("tls_certificate_missing", "conf1"),
        ("tls_certificate_missing_management", "management"),
    ):
        found = (await client.get(f"{ROOT}/status/v1/alarm/", name=name))["objects"]
        assert [each["instance"] for each in found] == [instance]


async def test_what_locations_and_nodes_refer_to_must_be_there_and_may_go(client: Client):
    links = (
        *("h323_gatekeeper", "sip_proxy", "mssip_proxy", "teams_proxy", "turn_server", "stun_server"),
        *("http_proxy", "policy_server", "snmp_network_management_system"),
    )
    bodies = await whole_bodies(client)
    made = {name: await client.post(f"{CONFIGURATION}/{name}/", bodies[name]) for name in links}
    lists = {"client_turn_servers": [made["turn_server"]], "client_stun_servers": [made["stun_server"]]}
    sink = await client.post(f"{CONFIGURATION}/event_sink/", bodies["event_sink"])
    at = await client.post(LOCATIONS, {"name": "Oslo", **made, **lists, "event_sinks": [sink]})
    shown = await client.get(at)
    assert {name: shown[name] for name in made} == made
    assert {name: shown[name] for name in lists} == lists
    assert [each["resource_uri"] for each in shown["event_sinks"]] == [sink]
    sdk_client.read_object("configuration/v1/system_location", json.dumps(shown).encode())
    for name in (*links, "client_turn_servers", "event_sinks"):
        field = f"{CONFIGURATION}/{ {'client_turn_servers': 'turn_server', 'event_sinks': 'event_sink'}.get(name, name) }/4711/"
        value = [field] if name.endswith("s") and name in {"client_turn_servers", "event_sinks"} else field
        refused = await client.call("PATCH", at, {name: value})
        assert (refused.status, set(refused.json["system_location"])) == (400, {name})
    # a required link protects what it points to, others read as null
    used = await client.call("DELETE", bodies["teams_proxy"]["azure_tenant"])
    assert (used.status, used.json) == (
        400,
        {"azure_tenant": {"__all__": ["Still used by teams_proxy n; move these first."]}},
    )
    for name in links:
        assert (await client.call("DELETE", made[name])).status == 204
    shown = await client.get(at)
    assert {name: shown[name] for name in links} == dict.fromkeys(links)
    assert (shown["client_turn_servers"], shown["client_stun_servers"]) == ([], [])
    assert (await client.call("DELETE", bodies["teams_proxy"]["azure_tenant"])).status == 204


async def test_names_and_addresses_that_are_taken_are_said_to_exist_already(client: Client):
    bodies = await whole_bodies(client)
    for resource in SMALL:
        for field in (each.name for each in resource.fields if each.unique and not each.readonly):
            await client.post(resource.path, bodies[resource.name])
            twice = await client.call("POST", resource.path, bodies[resource.name])
            assert (twice.status, list(twice.json[resource.name])) == (400, [field])
            assert "already exists" in twice.json[resource.name][field][0]
            other = {**bodies[resource.name], field: "192.0.2.99"}
            at = await client.post(resource.path, other)
            moved = await client.call("PATCH", at, {field: bodies[resource.name][field]})
            assert "already exists" in moved.json[resource.name][field][0]
    role = {"name": "operator", "permissions": []}
    assert (
        "already exists"
        in (await client.call("POST", f"{CONFIGURATION}/role/", role)).json["role"]["name"][0]
    )
    program = {"client_name": "c", "role": f"{CONFIGURATION}/role/1/"}
    assert (await client.call("POST", f"{CONFIGURATION}/oauth2_client/", program)).status == 201
    twice = await client.call("POST", f"{CONFIGURATION}/oauth2_client/", program)
    assert "already exists" in twice.json["oauth2_client"]["client_name"][0]


async def test_the_global_settings_are_one_object_that_keeps_what_it_is_given(client: Client):
    path = f"{CONFIGURATION}/global/"
    listed = sdk_client.read_list("configuration/v1/global", (await client.call("GET", path)).body)
    assert [each["id"] for each in listed["objects"]] == [1]
    shown = await client.get(f"{path}1/")
    assert len(shown) > 90
    trust = {
        "sip_tls_cert_verify_mode": "ON",
        "ocsp_state": "OVERRIDE",
        "ocsp_responder_url": "http://o.test/",
    }
    more = {"disabled_codecs": [{"value": "MP4A-LATM_128"}], "max_callrate_in": 4128, "enable_sip": False}
    secrets = {"aws_secret_key": "a-secret", "legacy_api_password": "a-secret", "gcp_private_key": "a-secret"}
    assert (await client.call("PATCH", f"{path}1/", {**trust, **secrets})).status == 202
    assert (await client.call("PUT", f"{path}1/", {**more, "enable_ssh": None})).status == 204
    answer = await client.call("GET", f"{path}1/")
    assert answer.json == {**shown, **trust, **more}
    assert b"a-secret" not in answer.body
    sdk_client.read_object("configuration/v1/global", answer.body)
    for method, at, status in (
        ("POST", path, 405),
        ("DELETE", f"{path}1/", 405),
        ("PATCH", f"{path}2/", 404),
    ):
        assert (await client.call(method, at, {})).status == status
    assert set(more) - {"disabled_codecs"} <= set(GLOBAL.by_name)


async def test_a_theme_is_kept_as_the_uri_that_one_client_sends_and_as_the_object_of_another(client: Client):
    path = f"{CONFIGURATION}/global/1/"
    for theme in (
        f"{CONFIGURATION}/ivr_theme/7/",
        {"name": "Blue", "last_updated": "0001-01-01T00:00:00"},
        None,
    ):
        assert (await client.call("PUT", path, {"default_theme": theme})).status == 204
        assert (await client.get(path))["default_theme"] == theme
    too_long = await client.call("PATCH", path, {"default_theme": {"name": "x" * 5000}})
    assert (too_long.status, set(too_long.json["global"])) == (400, {"default_theme"})


async def test_a_connection_string_is_kept_without_its_key(client: Client):
    teams = {**(await whole_bodies(client))["teams_proxy"]}
    queue = "Endpoint=sb://x.test/;SharedAccessKeyName=policy;SharedAccessKey={};EntityPath=hub"
    at = await client.post(
        f"{CONFIGURATION}/teams_proxy/", {**teams, "notifications_queue": queue.format("a-secret/x=")}
    )
    assert (await client.get(at))["notifications_queue"] == queue.format("")
    stored = await client.api.operations.context.store.documents.all("teams_proxy")
    assert "a-secret" not in json.dumps(stored)


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
    add = client.api.operations.nodes.add

    async def late(name: str, **more: Any) -> Any:
        monkeypatch.undo()
        await add(name, names=[], addresses=[], actor="somebody else")
        return await add(name, **more)

    monkeypatch.setattr(client.api.operations.nodes, "add", late)
    refused = await client.call("POST", WORKERS, worker(system_location=location))
    assert (refused.status, refused.json) == (
        400,
        {"worker_vm": {"name": ["Conferencing Node with this name already exists."]}},
    )


async def test_what_a_conferencing_platform_would_tell_is_truthfully_nothing(client: Client):
    location = await client.post(LOCATIONS, {"name": "Oslo", "description": "d"})
    at = await client.post_worker(worker(system_location=location))
    for path in (
        *("status/v1/conference", "status/v1/participant", "status/v1/registration_alias"),
        *("status/v1/conference_shard", "history/v1/conference", "history/v1/participant"),
        *("configuration/v1/conference", "status/v1/worker_vm/2/statistics"),
    ):
        found = await client.get(
            f"{ROOT}/{path}/", limit=100, offset=0, start_time__gte="2026-01-01T00:00:00.5"
        )
        assert (found["objects"], found["meta"]["total_count"]) == ([], 0), path
        assert (await client.call("GET", f"{ROOT}/{path}/1/")).status == 404
    assert at.endswith("/2/")
    for path, status in (("4711", 404), ("x", 404)):
        assert (await client.call("GET", f"{ROOT}/status/v1/worker_vm/{path}/statistics/")).status == status
    assert (await client.call("POST", f"{ROOT}/status/v1/worker_vm/2/statistics/", {})).status == 405
    (licences,) = (await client.get(f"{ROOT}/status/v1/licensing/"))["objects"]
    assert {value for name, value in licences.items() if name.endswith(("_count", "_total"))} == {0}
    (place,) = (await client.get(f"{ROOT}/status/v1/system_location/"))["objects"]
    assert (place["name"], place["total_nodes"], place["active_nodes"], place["media_load"]) == (
        "Oslo",
        1,
        0,
        0,
    )
    schema = await client.get(f"{CONFIGURATION}/conference/schema/")
    assert "name" in schema["fields"]


async def test_a_trusted_ca_is_changed_with_null_for_what_was_not_planned(client: Client):
    at = await client.post(AUTHORITIES, {"certificate": CA.certificate_pem, "trusted_intermediate": None})
    before = await client.get(at)
    body = {"certificate": None, "trusted_intermediate": None}
    assert (await client.call("PATCH", at, body)).status == 202
    assert await client.get(at) == before


async def test_terraform_makes_reads_changes_and_deletes_every_small_resource_without_a_difference(
    client: Client,
):
    for name, body in (await whole_bodies(client)).items():
        provider = Terraform(client, name)
        hidden = (SECRET if name != "ssh_authorized_key" else set()) | {
            field for field, value in body.items() if value is None
        }
        number, _ = await provider.create(body, kept=hidden)
        # a refresh of its state finds what was planned, again and again
        await provider.check(number, body, hidden)
        key = next(
            field for field in ("description", "comment", "prefix", "port", "gateway") if field in body
        )
        changed = {**body, key: body[key] + 1 if isinstance(body[key], int) else "other"}
        await provider.update(number, changed, method="PUT", kept=hidden)
        # what it leaves out when it is not in the configuration stays
        left_out = {field: value for field, value in changed.items() if field not in {"description", "port"}}
        await provider.update(number, left_out, method="PUT", kept=hidden)
        await provider.check(number, changed, hidden)
        await provider.delete(number)


async def test_another_key_for_the_same_issuer_and_serial_number_is_400_and_names_both(client: Client):
    one, two = (
        pki.make_leaf(ISSUER, ["a.example.test"], serial=77, not_after_s=int(time.time()) + 90 * 86400)
        for _ in range(2)
    )
    first = await client.post(CERTIFICATES, upload(one))
    # the same key is the same certificate
    assert await client.post(CERTIFICATES, upload(one)) == first
    refused = await client.call("POST", CERTIFICATES, upload(two))
    assert (refused.status, list(refused.json)) == (400, ["tls_certificate"])
    ((text,),) = refused.json["tls_certificate"].values()
    assert re.search(
        r"^certificate \d+ \('a\.example\.test', fingerprint \w+\) .* of the new one \('a\.example\.test', fingerprint \w+\)",
        text,
    )
    assert (await client.get(first))["certificate"] == upload(one)["certificate"]
    # a PATCH of the entry itself may bring a new key
    assert (await client.call("PATCH", first, upload(two))).status == 202
    assert (await client.get(first))["certificate"] == upload(two)["certificate"]


# -- what the framework does leniently


async def test_options_tell_what_is_allowed(client: Client):
    for path, allowed in (
        (CERTIFICATES, "GET, POST, PATCH, DELETE"),
        (f"{CERTIFICATES}1/", "GET, PATCH, DELETE"),
        (f"{CERTIFICATES}schema/", "GET"),
        (f"{ROOT}/status/v1/", "GET"),
    ):
        answer = await client.call("OPTIONS", path)
        assert (answer.status, answer.headers["Allow"], answer.body) == (200, allowed, b"")
    assert (await client.call("OPTIONS", f"{ROOT}/nothing/")).status == 404
    assert (await client.call("OPTIONS", CERTIFICATES, role=None)).status == 401


async def test_a_post_can_stand_for_another_change_and_needs_the_same_role(client: Client):
    at = await client.post(LOCATIONS, {"name": "Oslo"})

    async def meaning(method: str, body: Any = None, **more: Any) -> int:
        headers = {"X-HTTP-Method-Override": method}
        return (await client.call("POST", at, body, headers=headers, **more)).status

    assert await meaning("PATCH", {"description": "d"}) == 202
    assert await meaning("put", {"mtu": 1400}) == 204
    shown = await client.get(at)
    assert (shown["description"], shown["mtu"]) == ("d", 1400)
    assert await meaning("DELETE", role=Role.READ_ONLY) == 403
    # a change never passes for a look
    assert await meaning("GET", role=Role.READ_ONLY) == 403
    assert await meaning("GET", {}) == 501
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert (await client.call("GET", at, headers=headers)).status == 200
    assert await meaning("DELETE") == 204
    assert (await client.call("GET", at)).status == 404


async def test_lists_are_ordered_by_the_frameworks_older_word_too(client: Client):
    for name in ("b", "a", "c"):
        await client.post(LOCATIONS, {"name": name})
    found = await client.get(LOCATIONS, sort_by="-name")
    assert [each["name"] for each in found["objects"]] == ["c", "b", "a"]
    found = await client.get(LOCATIONS, sort_by="-name", order_by="name")
    assert [each["name"] for each in found["objects"]] == ["a", "b", "c"]
    assert (await client.call("GET", f"{LOCATIONS}?sort_by=x")).status == 400


async def test_the_longest_values_that_providers_let_through_and_the_shortest_bodies_are_taken(
    client: Client,
):
    described = {"address": "192.0.2.123", "description": "d" * 255}
    at = await client.post(f"{CONFIGURATION}/ntp_server/", described)
    assert described.items() <= (await client.get(at)).items()
    at = await client.post(f"{CONFIGURATION}/ssh_authorized_key/", {"key": "AAAA"})
    assert (await client.get(at))["keytype"] == ""


async def test_text_fields_take_numbers_and_a_page_beyond_the_end_is_empty(client: Client):
    at = await client.post(LOCATIONS, {"name": 7, "description": 0.5})
    shown = await client.get(at)
    assert (shown["name"], shown["description"]) == ("7", "0.5")
    beyond = await client.get(LOCATIONS, offset=50, format="json")
    assert (beyond["objects"], beyond["meta"]["total_count"], beyond["meta"]["next"]) == ([], 1, None)


# -- programs that sign in with a key of their own


async def test_a_program_is_made_with_a_key_that_is_shown_once_and_signs_in_with_it(client: Client):
    path, roles = f"{CONFIGURATION}/oauth2_client/", f"{CONFIGURATION}/role/"
    made = await client.call(
        "POST", path, {"client_name": "CI/CD of the platform: prod", "role": f"{roles}1/"}
    )
    assert made.status == 201
    created = sdk_client.read_object("configuration/v1/oauth2_client", made.body)
    assert created["private_key_jwt"].startswith("-----BEGIN PRIVATE KEY-----")
    assert created["resource_uri"] == made.location
    shown = await client.get(made.location)
    assert shown == {**made.json, "private_key_jwt": None}
    # by its number as Terraform does, or by what it signs in with
    assert await client.get(f"{path}{created['client_id']}/") == shown
    assert b"PRIVATE KEY" not in (await client.call("GET", path)).body
    headers = {"Authorization": f"Bearer {await access_token(client, created)}"}
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 200
    refused = await client.call("POST", LOCATIONS, {"name": "Oslo"}, role=None, headers=headers)
    assert refused.status == 403
    # another role counts at once, for the token that is there already
    assert (await client.call("PUT", made.location, {"role": f"{roles}3/"})).status == 204
    allowed = await client.call("POST", LOCATIONS, {"name": "Oslo"}, role=None, headers=headers)
    assert allowed.status == 201
    assert (await client.call("PATCH", made.location, {"client_name": "renamed"})).status == 202
    assert (await client.get(made.location))["client_name"] == "renamed"
    (own,) = (await client.api.call("GET", "oauth-clients"))[1]["clients"]
    assert (own["name"], own["role"], own["client_id"]) == ("renamed", "administrator", created["client_id"])
    acts = await client.api.operations.context.store.audit.list(limit=50)
    assert not any("PRIVATE" in str(act) for act in acts)
    assert (await client.call("DELETE", f"{path}{created['client_id']}/")).status == 204
    assert (await client.call("GET", CERTIFICATES, role=None, headers=headers)).status == 401


async def access_token(client: Client, created: dict[str, Any]) -> str:
    now_s = int(time.time())
    claims = {
        **dict.fromkeys(["iss", "sub"], created["client_id"]),
        "aud": "https://manager.example.test/oauth/token/",
        "iat": now_s,
        "exp": now_s + 300,
        "jti": str(uuid.uuid4()),
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, created["private_key_jwt"], algorithm="ES256"),
    }
    answer = await client.call("POST", "/oauth/token/", data=form, role=None)
    assert answer.status == 200, answer
    return answer.json["access_token"]


async def test_roles_are_what_their_permissions_give_and_those_built_in_stay(client: Client):
    path = f"{CONFIGURATION}/role/"
    built_in = (await client.get(path))["objects"]
    assert [(each["id"], each["name"]) for each in built_in] == [
        (1, "read-only"),
        (2, "operator"),
        (3, "administrator"),
    ]
    # Terraform looks permissions up by name, and makes URIs of the ids in a role
    listed = sdk_client.read_list(
        "configuration/v1/permission", (await client.call("GET", f"{CONFIGURATION}/permission/")).body
    )
    uri = {each["name"]: each["resource_uri"] for each in listed["objects"]}
    assert set(uri) == {
        "May use API",
        "May push and acknowledge alarms",
        "Is administrator",
        "Is administrator and may obtain join tokens",
    }
    at = await client.post(path, {"name": "deploy", "permissions": [uri["May use API"]]})
    read = sdk_client.read_object("configuration/v1/role", (await client.call("GET", at)).body)
    assert [each["id"] for each in read["permissions"]] == [1]
    program = {"client_name": "c", "role": at}
    made = await client.call("POST", f"{CONFIGURATION}/oauth2_client/", program)
    assert (await client.get(made.location))["role"] == at
    assert [each.role for each in await client.api.operations.clients.list()] == [Role.READ_ONLY]
    assert (await client.call("PUT", at, {"permissions": [uri["Is administrator"]]})).status == 204
    assert [each.role for each in await client.api.operations.clients.list()] == [Role.ADMINISTRATOR]
    for method, where, body in (
        ("PUT", at, {"permissions": []}),
        ("DELETE", at, None),
        ("PATCH", f"{path}3/", {"permissions": [uri["May use API"]]}),
        ("PATCH", f"{path}1/", {"name": "mine"}),
        ("DELETE", f"{path}2/", None),
    ):
        refused = await client.call(method, where, body)
        assert (refused.status, set(refused.json)) == (400, {"role"}), (method, where)
    assert (await client.get(path))["objects"][:3] == built_in
    empty = await client.post(path, {"name": "nothing"})
    nobody = await client.call("POST", f"{CONFIGURATION}/oauth2_client/", {"client_name": "n", "role": empty})
    assert (nobody.status, set(nobody.json["oauth2_client"])) == (400, {"role"})
    missing = await client.call(
        "POST", path, {"name": "x", "permissions": [f"{CONFIGURATION}/permission/9/"]}
    )
    assert (missing.status, set(missing.json["role"])) == (400, {"permissions"})
    assert (await client.call("DELETE", made.location)).status == 204
    assert (await client.call("DELETE", at)).status == 204


async def test_a_program_of_our_own_command_has_the_built_in_role_of_its_level(client: Client):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    body = {"name": "terraform", "role": "operator", "public_key": pem}
    assert (await client.api.call("POST", "oauth-clients", body))[0] == 201
    (found,) = (await client.get(f"{CONFIGURATION}/oauth2_client/"))["objects"]
    assert (found["client_name"], found["role"]) == ("terraform", f"{CONFIGURATION}/role/2/")
    for at in (f"{CONFIGURATION}/oauth2_client/{'0' * 32}/", f"{CONFIGURATION}/oauth2_client/99/"):
        assert (await client.call("GET", at)).status == 404
