"""Bodies and methods: what each resource takes, what is left out, and what is refused."""

import asyncio
import io

from structlog.testing import capture_logs

from common.errors import Reason, StorageError
from manager.infinity_api.contract.description import Method, Namespace, Resource
from manager.infinity_api.contract.index import RESOURCES
from tests.integration.infinity_api.parts import whole_bodies
from tests.integration.infinity_api.platform import (
    CERTIFICATES,
    CONFIGURATION,
    IMPORT,
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


async def test_every_method_of_every_resource_has_its_code(client: Client):
    for resource in RESOURCES:
        for method in Method:
            await check_method(client, resource, method, to_one=False)
            if not resource.is_command:
                await check_method(client, resource, method, to_one=True)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await client.call(method, resource.schema_path, {})
            assert (refused.status, refused.headers["Allow"]) == (405, "GET")


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
        patch.setattr(client.api.context.store.audit, "append", fail)
        for method, path, body in calls:
            answer = await client.call(method, path, body)
            assert (answer.status, answer.error) == (503, "the store says no"), (method, path, answer.body)
    assert [await client.get(path) for path in kinds] == before
    for method, path, body in calls:
        answer = await client.call(method, path, body)
        assert answer.status in {201, 202, 204}, (method, path, answer.body)


async def test_a_store_that_fails_is_503_or_507_and_nothing_was_done(client: Client, monkeypatch):
    for reason, status in ((Reason.STORAGE, 503), (Reason.NO_SPACE, 507)):

        async def fail(*_args: object, reason: Reason = reason, **_more: object) -> None:
            raise StorageError("the store says no", reason=reason)

        with monkeypatch.context() as patched:
            patched.setattr(client.api.context.store.documents, "add", fail)
            answer = await client.call("POST", LOCATIONS, {"name": "Oslo"})
        assert (answer.status, answer.json) == (status, {"error": "the store says no"})
    with monkeypatch.context() as patched:
        patched.setattr(client.api.context.store.documents, "add", lambda *_a, **_m: 1 / 0)
        with capture_logs() as logged:
            answer = await client.call("POST", LOCATIONS, {"name": "Oslo"})
    assert [each["event"] for each in logged] == ["http.request_failed"]
    assert answer.status == 500
    assert answer.json["error_message"].startswith("Sorry, this request could not be processed.")
    assert (await client.get(LOCATIONS))["objects"] == []


async def test_a_create_that_is_sent_twice_at_once_makes_one(client: Client):
    await client.post(LOCATIONS, {"name": "Oslo"})
    answers = await asyncio.gather(*(client.call("POST", WORKERS, worker(1)) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 400, 400]
    others = [worker(2, name=f"other{number}", hostname=f"other{number}") for number in range(3)]
    answers = await asyncio.gather(*(client.call("POST", WORKERS, body) for body in others))
    assert sorted(answer.status for answer in answers) == [201, 400, 400]


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
