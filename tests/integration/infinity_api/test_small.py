"""Locations, small resources and settings: kept as they came, for those who refer to them."""

import json

from manager.infinity_api.contract.resources.platform import GLOBAL
from manager.infinity_api.contract.resources.small import SMALL, SYSLOG_SERVER
from tests.fakes import sdk_client
from tests.fakes.clients import Terraform
from tests.integration.infinity_api.parts import SECRET, shown_again, whole_bodies
from tests.integration.infinity_api.platform import (
    CERTIFICATES,
    CONFIGURATION,
    LOCATIONS,
    MANAGERS,
    Client,
    leaf,
    upload,
    worker,
)


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


async def test_every_field_of_the_small_resources_comes_back_as_it_was_sent(client: Client):
    bodies = await whole_bodies(client)
    assert set(bodies) == {resource.name for resource in SMALL}
    for name, body in bodies.items():
        at = await client.post(f"{CONFIGURATION}/{name}/", body)
        answer = await client.call("GET", at)
        assert {field: answer.json[field] for field in shown_again(name, body)} == shown_again(name, body)
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


async def test_what_is_one_thing_by_several_fields_is_there_once(client: Client):
    bodies = await whole_bodies(client)
    together = [each for each in SMALL if each.unique_together]
    assert SYSLOG_SERVER in together
    for resource in together:
        for fields in resource.unique_together:
            at = await client.post(resource.path, bodies[resource.name])
            twice = await client.call(
                "POST", resource.path, {**bodies[resource.name], "description": "other"}
            )
            (said,) = twice.json[resource.name]["__all__"]
            assert (twice.status, said) == (
                400,
                f"{resource.title} with this {' and '.join(fields)} already exists.",
            )
            # one that stays as it was may be written back
            for method in ("PUT", "PATCH"):
                assert (await client.call(method, at, bodies[resource.name])).status in {202, 204}
    for port in (6515, 6516):
        await client.post(SYSLOG_SERVER.path, {**bodies["syslog_server"], "port": port})
    rows = (await client.get(SYSLOG_SERVER.path))["objects"]
    moved = await client.call("PATCH", rows[-1]["resource_uri"], {"port": 6515})
    assert (moved.status, list(moved.json["syslog_server"])) == (400, ["__all__"])


async def test_objects_that_were_there_twice_before_can_be_changed(client: Client):
    body = {"address": "192.0.2.9", "port": 514, "transport": "udp"}
    for _ in range(2):
        await client.api.context.store.documents.add("syslog_server", body)
    rows = (await client.get(SYSLOG_SERVER.path))["objects"]
    assert (await client.call("PATCH", rows[0]["resource_uri"], {"description": "kept"})).status == 202
    assert (await client.call("PATCH", rows[0]["resource_uri"], {**body, "web_log": False})).status == 202
    assert (await client.call("POST", SYSLOG_SERVER.path, body)).status == 400


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
    stored = await client.api.context.store.documents.all("teams_proxy")
    assert "a-secret" not in json.dumps(stored)


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


async def test_the_longest_values_that_providers_let_through_and_the_shortest_bodies_are_taken(
    client: Client,
):
    described = {"address": "192.0.2.123", "description": "d" * 255}
    at = await client.post(f"{CONFIGURATION}/ntp_server/", described)
    assert described.items() <= (await client.get(at)).items()
    at = await client.post(f"{CONFIGURATION}/ssh_authorized_key/", {"key": "AAAA"})
    assert (await client.get(at))["keytype"] == ""
