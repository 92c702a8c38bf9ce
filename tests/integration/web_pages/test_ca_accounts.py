"""Pages of accounts at CAs: an account's whole life, and that its secrets are in no page."""

import pytest

from common.api.codes import Role
from manager.usecases.renewal.ports import CaError
from tests.integration.certcast_api.renewing import RenewingApi
from tests.integration.web import Visitor, visitor

DIRECTORY = "https://ca.example.test/directory"
SECRET = "c2VjcmV0LWJpbmRpbmcta2V5"
OTHER = {"ca": "other", "name": "le", "contact": "ops@example.test", "directory_url": DIRECTORY}


@pytest.fixture
async def browser(world: RenewingApi):
    async with visitor(world.api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


async def acts(world: RenewingApi) -> list[str]:
    found = (await world.api.call("GET", "audit"))[1]["entries"]
    return [each["action"] for each in found if each["subject"] == "account 1"]


async def test_an_account_lives_from_its_form_to_its_end_at_the_ca(world: RenewingApi, browser: Visitor):
    offered = await browser.post("/ca-accounts/new", OTHER)
    assert offered.path == "/ca-accounts/1/offers"
    assert "https://ca/terms" in offered.text
    assert "I agree to the terms of service of ca.example.test" in offered.text
    registered = await browser.post("/ca-accounts/1/register", {"terms_agreed": "1"})
    assert registered.path == "/ca-accounts/1"
    assert "agreed to" in registered.text
    assert "https://ca/account/1" in registered.text
    changed = await browser.post("/ca-accounts/1/contact", {"contact": "a@example.test\nb@example.test"})
    assert changed.values["contact"] == ["a@example.test\nb@example.test"]
    keys = set(world.ca.accounts)
    assert "has a new key" in (await browser.post("/ca-accounts/1/change-key")).text
    assert not keys & set(world.ca.accounts)
    assert "Deactivated" in (await browser.post("/ca-accounts/1/deactivate")).text
    assert world.ca.accounts == {}
    gone = await browser.post("/ca-accounts/1/delete")
    assert "The account le is deleted" in gone.text
    assert (await browser.get("/ca-accounts/1")).status == 404
    assert await acts(world) == [
        "account.deleted",
        "account.deactivated",
        "account.deactivation_begun",
        "account.key_changed",
        "account.key_change_begun",
        "account.changed",
        "account.registered",
        "account.added",
    ]
    entries = (await world.api.call("GET", "audit"))[1]["entries"]
    (agreed,) = [each["detail"] for each in entries if each["action"] == "account.registered"]
    assert '"terms_agreed":true' in agreed.replace(" ", "")


async def test_the_key_of_a_binding_is_in_no_page_also_not_where_its_form_is_refused(
    world: RenewingApi, browser: Visitor
):
    fields = OTHER | {"binding_id": "kid-1", "binding_key": SECRET}
    pages = [await browser.post("/ca-accounts/new", fields | {"name": ""})]
    assert (pages[0].status, pages[0].values["binding_id"]) == (400, ["kid-1"])
    assert "Give the binding's key again" in pages[0].text
    pages.append(await browser.post("/ca-accounts/new", fields))
    pages.append(await browser.post("/ca-accounts/new", fields))
    assert pages[-1].status == 409
    pages += [
        await browser.get(f"/{each}")
        for each in ("ca-accounts", "ca-accounts/1", "ca-accounts/1/offers", "audit")
    ]
    assert "kid-1" in (await browser.get("/ca-accounts/1")).text
    assert [each.path for each in pages if SECRET in each.html] == []
    assert (await world.api.context.store.accounts.keys(1)).binding_key == SECRET


async def test_a_known_ca_needs_no_address_and_takes_no_other(world: RenewingApi, browser: Visitor):
    refused = await browser.post("/ca-accounts/new", OTHER | {"ca": "letsencrypt"})
    assert refused.status == 400
    assert "Choose another CA than Let's Encrypt" in refused.text
    await browser.post("/ca-accounts/new", OTHER | {"ca": "letsencrypt", "directory_url": ""})
    (made,) = await world.api.use_cases.accounts.list()
    assert made.directory_url == "https://acme-v02.api.letsencrypt.org/directory"
    assert made.staging_url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert "Let's Encrypt" in (await browser.get("/ca-accounts")).text


async def test_what_is_no_account_comes_back_with_what_was_typed(world: RenewingApi, browser: Visitor):
    refused = await browser.post(
        "/ca-accounts/new", OTHER | {"contact": "nobody", "trusted_cas": "no PEM", "staging_url": "https://s"}
    )
    assert (refused.status, refused.values["contact"]) == (400, ["nobody"])
    assert refused.values["trusted_cas"] == ["no PEM"]
    assert (refused.values["directory_url"], refused.values["staging_url"]) == ([DIRECTORY], ["https://s"])
    assert await world.api.use_cases.accounts.list() == []


async def test_what_a_ca_says_against_it_is_shown_and_the_account_stays(world: RenewingApi, browser: Visitor):
    limit = CaError("ca.example.test limits how often it is asked", type="rateLimited")
    await browser.post("/ca-accounts/new", OTHER)
    for act, path in (
        ("directory", "offers"),
        ("register", "register"),
        ("update_contact", "contact"),
        ("change_key", "change-key"),
        ("deactivate", "deactivate"),
    ):
        world.ca.to_fail.append((act, limit))
        where = f"/ca-accounts/1/{path}"
        answer = await (browser.get(where) if act == "directory" else browser.post(where))
        assert answer.status == 502, act
        assert "Ca.example.test limits how often it is asked." in answer.text
        if act == "register":
            await browser.post(where)
    assert "Registered" in (await browser.get("/ca-accounts/1")).text


async def test_a_binding_key_that_no_ca_gives_is_refused_at_the_form_and_not_given_back(
    world: RenewingApi, browser: Visitor
):
    refused = await browser.post("/ca-accounts/new", OTHER | {"binding_id": "kid", "binding_key": "bad+key/"})
    assert (refused.status, refused.values["binding_id"]) == (400, ["kid"])
    assert "The binding's key is not base64url" in refused.text
    assert "bad+key/" not in refused.html
    assert await world.api.use_cases.accounts.list() == []


async def test_an_account_without_the_binding_that_its_ca_wants_is_told_what_to_do(
    world: RenewingApi, browser: Visitor
):
    world.ca.needs_binding = True
    offered = await browser.post("/ca-accounts/new", OTHER)
    assert "This CA wants an external account binding, and the account has none." in offered.text
    assert "/ca-accounts/1/register" not in offered.html


async def test_what_was_wrong_is_corrected_on_the_pages_and_then_registered(
    world: RenewingApi, browser: Visitor
):
    await browser.post("/ca-accounts/new", OTHER | {"binding_id": "kid", "binding_key": "d3Jvbmc"})
    asked = await browser.get("/ca-accounts/1/edit?renewal=1")
    assert (asked.values["binding_id"], asked.hidden["renewal"]) == (["kid"], "1")
    root = world.ca.root.certificate_pem
    fields = {
        "name": "own",
        "directory_url": DIRECTORY,
        "staging_url": "",
        "trusted_cas": root,
        "binding_id": "kid-2",
        "renewal": "1",
    }
    refused = await browser.post("/ca-accounts/1/edit", fields | {"binding_key": f"{SECRET}+/"})
    assert (refused.status, refused.values["binding_id"]) == (400, ["kid-2"])
    assert "Give the binding's key again" in refused.text
    assert SECRET not in refused.html
    kept = await browser.post("/ca-accounts/1/edit", fields | {"binding_key": SECRET})
    assert kept.path == "/ca-accounts/1/offers?renewal=1"
    again = await browser.post("/ca-accounts/1/edit", fields | {"name": "ours"})
    assert SECRET not in kept.html + again.html + (await browser.get("/audit")).html
    record, keys = await world.api.context.store.accounts.with_keys(1)
    assert (record.name, record.binding_id, record.trusted_cas) == ("ours", "kid-2", root)
    assert keys.binding_key == SECRET


async def test_of_a_registered_account_its_directory_and_binding_are_shown_and_stay(
    world: RenewingApi, browser: Visitor
):
    await browser.post("/ca-accounts/new", OTHER)
    await browser.post("/ca-accounts/1/register", {"terms_agreed": "1"})
    asked = await browser.get("/ca-accounts/1/edit")
    assert "It is registered at https://ca.example.test/directory" in asked.text
    assert 'name="binding_key"' not in asked.html
    fields = {"name": "new", "staging_url": "", "trusted_cas": ""}
    other = fields | {"directory_url": "https://other.example.test/directory"}
    refused = await browser.post("/ca-accounts/1/edit", other)
    assert (refused.status, "add another account" in refused.text) == (400, True)
    assert (await browser.post("/ca-accounts/1/edit", fields)).path == "/ca-accounts/1"
    assert (await world.api.use_cases.accounts.get(1)).name == "new"


async def test_addresses_in_a_cas_own_words_are_links_only_if_they_are_addresses(
    world: RenewingApi, browser: Visitor
):
    world.ca.profiles = {"classic": "https://ca/profiles", "odd": "javascript:alert(1)"}
    offered = await browser.post("/ca-accounts/new", OTHER)
    assert 'href="https://ca/profiles"' in offered.html
    assert "javascript:alert(1)" in offered.text
    assert 'href="javascript' not in offered.html


async def test_an_account_that_something_is_renewed_with_says_so_and_stays(
    world: RenewingApi, browser: Visitor
):
    await browser.post("/ca-accounts/new", OTHER)
    body = {"account": 1, "names": ["meet.example.test"], "paused": True}
    assert (await world.api.call("POST", "renewals", body))[0] == 201
    for path in ("/ca-accounts", "/ca-accounts/1", "/ca-accounts/1/deactivate", "/ca-accounts/1/delete"):
        assert "meet.example.test" in (await browser.get(path)).text, path
    refused = await browser.post("/ca-accounts/1/delete")
    assert (refused.status, "was not deleted" in refused.text) == (409, True)


async def test_a_reader_sees_accounts_and_no_button(world: RenewingApi, browser: Visitor):
    await browser.post("/ca-accounts/new", OTHER)
    async with visitor(world.api, Role.READ_ONLY) as reader:
        for path in ("/ca-accounts", "/ca-accounts/1"):
            shown = await reader.get(path)
            assert (shown.status, shown.html.count('method="post"')) == (200, 2), path
            assert "ops@example.test" in shown.text
            assert not any(f"/ca-accounts/{each}" in shown.html for each in ("new", "1/"))
