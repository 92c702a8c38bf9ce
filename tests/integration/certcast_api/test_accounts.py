"""Accounts at CAs over HTTP: their whole life, and what of them is never answered."""

import pytest

from common.api.codes import Role
from manager.usecases.renewal.ports import CaError
from tests.integration.certcast_api.renewing import ACCOUNT, RenewingApi

SECRET = "c2VjcmV0LWJpbmRpbmcta2V5"


async def test_an_account_lives_from_its_key_to_its_end_at_the_ca(world: RenewingApi):
    api, number = world.api, await world.account()
    path = f"accounts/{number}"
    status, made = await api.call("GET", path, role=Role.READ_ONLY)
    assert (status, made["url"], made["terms_agreed"]) == (200, "", False)
    assert made["contact"] == ["mailto:ops@example.test"]
    status, registered = await api.call("POST", f"{path}/register", {"terms_agreed": True})
    assert (registered["url"], registered["terms_agreed"]) == ("https://ca/account/1", True)
    status, offered = await api.call("GET", f"{path}/directory")
    assert (status, offered["terms_url"]) == (200, "https://ca/terms")
    status, changed = await api.call("PATCH", path, {"contact": ["night@example.test"]})
    assert (status, changed["contact"]) == (200, ["mailto:night@example.test"])
    keys = set(world.ca.accounts)
    assert (await api.call("POST", f"{path}/change-key"))[0] == 200
    assert not keys & set(world.ca.accounts)
    status, ended = await api.call("POST", f"{path}/deactivate")
    assert (status, ended["deactivated_at_s"] > 0, world.ca.accounts) == (200, True, {})
    assert (await api.call("POST", f"{path}/register"))[0] == 409
    assert (await api.call("DELETE", path))[0] == 204
    assert (await api.call("GET", path))[0] == 404
    status, found = await api.call("GET", "audit")
    acts = [each["action"] for each in found["entries"]]
    for act in ("added", "registered", "changed", "key_changed", "deactivated", "deleted"):
        assert f"account.{act}" in acts


async def test_no_answer_and_no_log_has_the_key_of_an_account_or_of_a_binding(world: RenewingApi):
    world.api.leaks.phrases.add(SECRET)
    number = await world.account(binding_id="kid-1", binding_key=SECRET)
    shown = (await world.api.call("GET", f"accounts/{number}"))[1]
    assert shown["binding_id"] == "kid-1"
    listed = (await world.api.call("GET", "accounts"))[1]
    assert set(listed["accounts"][0]) == set(shown)
    assert "PRIVATE KEY" not in str(shown)
    await world.api.call("POST", "accounts", ACCOUNT | {"name": "x", "binding_key": SECRET, "contact": 7})
    await world.api.call("POST", "accounts", ACCOUNT | {"name": "x", "binding_key": SECRET})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 151}, "name"),
        ({"directory_url": "http://ca.example.test/directory"}, "directory_url"),
        ({"staging_url": "nowhere"}, "staging_url"),
        ({"contact": ["nobody"]}, "contact"),
        ({"binding_id": "kid"}, "binding_id"),
        ({"binding_id": "kid", "binding_key": "a+b/"}, "binding_key"),
        ({"key": "x"}, "key"),
    ],
)
async def test_what_cannot_be_an_account_is_refused_by_field(world: RenewingApi, changes, field):
    status, refused = await world.api.call("POST", "accounts", ACCOUNT | changes)
    assert (status, refused["error"]["field"]) == (400, field)
    assert (await world.api.call("GET", "accounts"))[1] == {"accounts": []}


async def test_cas_that_vouch_for_a_directory_are_read_before_they_are_kept(world: RenewingApi):
    status, refused = await world.api.call("POST", "accounts", ACCOUNT | {"trusted_cas": "no PEM"})
    assert (status, len(refused["error"]["findings"])) == (400, 1)
    number = await world.account(trusted_cas=world.ca.root.certificate_pem)
    status, shown = await world.api.call("GET", f"accounts/{number}")
    assert shown["trusted_cas"] == world.ca.root.certificate_pem


async def test_what_was_wrong_is_corrected_and_what_its_ca_knows_it_by_is_not(world: RenewingApi):
    world.api.leaks.phrases.add(SECRET)
    number = await world.account(binding_id="kid-1", binding_key="d3Jvbmc")
    path, root = f"accounts/{number}", world.ca.root.certificate_pem
    body = {"name": "own", "trusted_cas": root, "staging_url": "", "binding_key": SECRET}
    status, kept = await world.api.call("PATCH", path, body)
    assert (status, kept["name"], kept["trusted_cas"], kept["staging_url"]) == (200, "own", root, "")
    assert (kept["binding_id"], kept["contact"]) == ("kid-1", ["mailto:ops@example.test"])
    status, refused = await world.api.call("PATCH", path, {"trusted_cas": "no PEM"})
    assert (status, len(refused["error"]["findings"])) == (400, 1)
    assert (await world.api.call("POST", f"{path}/register"))[0] == 200
    status, refused = await world.api.call("PATCH", path, {"directory_url": "https://other.example.test/d"})
    assert (status, refused["error"]["field"]) == (400, "directory_url")
    assert "add another account" in refused["error"]["message"]


async def test_what_a_ca_says_against_it_is_told_and_an_account_stays(world: RenewingApi):
    number = await world.account()
    limit = CaError("ca.example.test limits how often it is asked", type="rateLimited", retry_after_s=60.0)
    world.ca.to_fail += [("register", limit)]
    status, refused = await world.api.call("POST", f"accounts/{number}/register")
    assert (status, refused["error"]["message"]) == (502, "ca.example.test limits how often it is asked")
    assert (await world.api.call("POST", f"accounts/{number}/register"))[0] == 200


async def test_an_account_that_something_is_renewed_with_is_not_forgotten(world: RenewingApi):
    number = await world.account()
    body = {"account": number, "names": ["meet.example.test"], "paused": True}
    assert (await world.api.call("POST", "renewals", body))[0] == 201
    assert (await world.api.call("DELETE", f"accounts/{number}"))[0] == 409
