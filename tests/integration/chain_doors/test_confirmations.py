"""A change that breaks a chain is asked about before."""

from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.api.codes import Role
from tests import pki
from tests.integration.chain_doors.conftest import (
    ALONE,
    CA,
    ISSUER,
    LEAF,
    LIFE,
    NAMES,
    NUMBER,
    by_api,
    fingerprints,
    sent,
)
from tests.integration.web import visitor

EDITS = {"the leaf alone": ALONE, "another CA's intermediate": pki.chain_pem(LEAF, pki.current_ca("Odd")[1])}


@pytest.mark.parametrize("text", EDITS)
async def test_an_edit_that_breaks_the_chain_of_an_assigned_certificate_is_confirmed_before(api, text):
    body = {"certificate": EDITS[text], "confirm": ""}
    status, answer = await api.call("PATCH", f"certificates/{NUMBER}", body)
    assert status == 409, answer
    asked = answer["error"]["confirmation"]
    asking = [(each["code"], each["nodes"]) for each in asked["consequences"] if each["asks"]]
    assert asking == [("chain_broken", ["n1"])]
    assert await sent(api) == ("complete", fingerprints(ISSUER)), "nothing is changed before the answer"
    body["confirm"] = asked["token"]
    status, answer = await api.call("PATCH", f"certificates/{NUMBER}", body)
    assert (status, await sent(api)) == (200, ("incomplete", [])), answer


async def test_the_page_asks_before_an_edit_breaks_the_chain_of_an_assigned_certificate(api):
    path = f"/certificates/{NUMBER}/edit"
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        shown = await browser.get(path)
        fields = {**shown.hidden, "certificate": ALONE, "node": "n1"}
        answer = await browser.post(path, fields)
        assert (answer.status, "The chain of trust of certificate 1 breaks" in answer.text) == (409, True)
        assert await sent(api) == ("complete", fingerprints(ISSUER))
        answer = await browser.post(path, {**fields, "confirm": answer.hidden["confirm"]})
    assert (answer.status, await sent(api)) == (200, ("incomplete", [])), answer.text


async def test_an_edit_that_no_node_meets_or_that_leaves_the_chain_whole_is_not_asked_about(api):
    renewed = pki.make_intermediate(CA, "Kept Issuing", key=ISSUER.key, **LIFE)
    for text in (pki.chain_pem(LEAF, renewed), pki.chain_pem(LEAF, ISSUER, CA)):
        body = {"certificate": text, "confirm": ""}
        assert (await api.call("PATCH", f"certificates/{NUMBER}", body))[0] == 200
    body = {"certificate": ALONE, "nodes": [], "confirm": ""}
    _, answer = await api.call("PATCH", f"certificates/{NUMBER}", body)
    assert "chain_broken" not in codes(answer["error"]["confirmation"]["consequences"])
    await api.use_cases.assignments.unassign("n1", "server", actor="test")
    del body["nodes"]
    assert (await api.call("PATCH", f"certificates/{NUMBER}", body))[0] == 200


async def test_a_stored_intermediate_that_chains_need_is_asked_about_before_it_is_deleted(api):
    record, _ = await api.use_cases.trust.upload_one(
        ISSUER.certificate_pem, trusted_intermediate=False, actor="test"
    )
    await by_api("PATCH", f"certificates/{NUMBER}", certificate=ALONE)(api)
    body = {"ids": [record.id], "confirm": ""}
    status, answer = await api.call("POST", "trusted-cas/delete", body)
    assert (status, "chain_broken" in str(answer)) == (409, True), answer
    assert await sent(api) == ("complete", fingerprints(ISSUER))


async def test_a_stored_intermediate_that_becomes_its_twin_for_mail_is_asked_about(api):
    record, _ = await api.use_cases.trust.upload_one(
        ISSUER.certificate_pem, trusted_intermediate=False, actor="test"
    )
    await by_api("PATCH", f"certificates/{NUMBER}", certificate=ALONE)(api)
    only_mail = [(ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)]
    twin = pki.make_intermediate(CA, "Kept Issuing", key=ISSUER.key, extensions=only_mail, **LIFE)
    path, body = f"trusted-cas/{record.id}", {"certificate": twin.certificate_pem, "confirm": ""}
    status, answer = await api.call("PATCH", path, body)
    assert (status, "chain_broken" in str(answer)) == (409, True), answer
    assert await sent(api) == ("complete", fingerprints(ISSUER))
    body["confirm"] = answer["error"]["confirmation"]["token"]
    assert (await api.call("PATCH", path, body))[0] == 200


async def test_an_intermediate_that_no_longer_verifies_peers_still_completes_chains(api):
    record, _ = await api.use_cases.trust.upload_one(
        ISSUER.certificate_pem, trusted_intermediate=True, actor="test"
    )
    await by_api("PATCH", f"certificates/{NUMBER}", certificate=ALONE)(api)
    body = {"trusted_intermediate": False, "confirm": ""}
    status, answer = await api.call("PATCH", f"trusted-cas/{record.id}", body)
    assert (status, "untrusted" in str(answer)) == (409, True), answer
    assert "chain_broken" not in str(answer)


async def test_an_edit_to_a_renewed_leaf_without_its_intermediate_is_confirmed_before(api):
    renewed = pki.make_leaf(ISSUER, NAMES, key=LEAF.key, **LIFE)
    body = {"certificate": renewed.certificate_pem, "confirm": ""}
    status, answer = await api.call("PATCH", f"certificates/{NUMBER}", body)
    assert status == 409, answer
    assert "chain" in codes(answer["error"]["confirmation"]["consequences"])
    assert await sent(api) == ("complete", fingerprints(ISSUER))


def codes(consequences: Sequence[dict[str, Any]]) -> set[str]:
    return {each["code"] for each in consequences}
