"""TLS certificates, trusted CAs, imports and certificate signing requests."""

import re
import time
from pathlib import Path

from tests import pki
from tests.integration.infinity_api.platform import (
    AUTHORITIES,
    CA,
    CERTIFICATES,
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
        for reply in ("one.example.test", "two.example.test", "another private key"):
            assert reply in refused.body.decode()
    assert (await client.get(at))["subject_name"] == "one.example.test"
    assert await client.post(CERTIFICATES, upload(one)) == at
    assert (await client.call("PATCH", at, upload(two))).status == 202
    assert (await client.get(at))["subject_name"] == "two.example.test"


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
    await client.api.use_cases.alarms.evaluator.evaluate(client.api.fleet)
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
        use_cases = client.api.use_cases
        before = (await use_cases.inventory()).slots[name, "server"]
        shown = await client.get(at)
        assert (shown["tls_certificate"], shown["tls_client_certificate"]) == (None, None)
        # both providers send it with every change of something else
        for method in ("PUT", "PATCH"):
            unrelated = {"tls_certificate": None, "tls_client_certificate": None, "description": method}
            assert (await client.call(method, at, unrelated)).status in {202, 204}
            assert (await use_cases.inventory()).slots[name, "server"] == before
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
        assert (name, "server") not in (await use_cases.inventory()).slots
    filtered = await client.get(WORKERS, tls_certificate__isnull="true")
    assert [each["resource_uri"] for each in filtered["objects"]] == [node]


async def test_a_trusted_ca_is_changed_with_null_for_what_was_not_planned(client: Client):
    at = await client.post(AUTHORITIES, {"certificate": CA.certificate_pem, "trusted_intermediate": None})
    before = await client.get(at)
    body = {"certificate": None, "trusted_intermediate": None}
    assert (await client.call("PATCH", at, body)).status == 202
    assert await client.get(at) == before


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
