"""Alarms and status: what is told of the platform, and by which names."""

from datetime import datetime, timedelta

from manager.domain.alarms import AlarmChanges, AlarmKind, Condition, Subject
from manager.infinity_api.contract.alarms import LEVELS
from tests.fakes import sdk_client, splunk_client
from tests.integration.infinity_api.platform import (
    CERTIFICATES,
    CONFIGURATION,
    LOCATIONS,
    ROOT,
    WORKERS,
    Client,
    leaf,
    upload,
    worker,
)


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
    await client.api.context.store.alarms.apply(
        AlarmChanges(raised=conditions, lowered=[], updated={}), now_s=1_800_000_000.0
    )


async def test_alarms_are_told_as_they_are_and_as_they_were(client: Client):
    soon = await client.post(CERTIFICATES, upload(leaf("soon.example.test", days=5)))
    await client.api.use_cases.alarms.evaluator.evaluate(client.api.fleet)
    now = sdk_client.read_list("status/v1/alarm", (await client.call("GET", f"{ROOT}/status/v1/alarm/")).body)
    expiring = next(each for each in now["objects"] if each["identifier"] == 3)
    assert "soon.example.test" in expiring["instance"]
    assert expiring["node"] == ""
    await client.call("DELETE", soon)
    await client.api.use_cases.alarms.evaluator.evaluate(client.api.fleet)
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


async def test_the_splunk_add_on_finds_alarms_by_name_and_level_and_reads_their_times(client: Client):
    await raise_every_alarm(client)
    store = client.api.context.store.alarms
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
    await store.apply(AlarmChanges(raised=[], lowered=offline, updated={}), now_s=1_800_000_000.0 + 7200)
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
    await client.api.use_cases.certificates.delete([1, 2], force=True, actor="test")
    await client.api.use_cases.alarms.evaluator.evaluate(client.api.fleet)
    for name, instance in (
        ("tls_certificate_missing", "conf1"),
        ("tls_certificate_missing_management", "management"),
    ):
        found = (await client.get(f"{ROOT}/status/v1/alarm/", name=name))["objects"]
        assert [each["instance"] for each in found] == [instance]


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
