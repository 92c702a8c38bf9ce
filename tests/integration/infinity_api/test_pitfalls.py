"""The ten pitfalls of the wire contract: what breaks clients."""

import re

from tests.fakes import cli_client, sdk_client
from tests.integration.infinity_api.parts import ROOTS
from tests.integration.infinity_api.platform import (
    AUTHORITIES,
    CA,
    CERTIFICATES,
    CONFIGURATION,
    IMPORT,
    ISSUER,
    LOCATIONS,
    REQUESTS,
    ROOT,
    WORKERS,
    Client,
    leaf,
    upload,
)


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
