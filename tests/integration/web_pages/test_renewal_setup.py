"""Guided set-up of a renewal, without a script: from no account to a certificate that was ordered."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from common.api.codes import Role
from manager.domain.renewal.records import ChallengeKind
from tests.browser.showroom import Showroom
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.integration.certcast_api.renewing import ACCOUNT, RenewingApi
from tests.integration.web import Visitor, visitor

NAME = "meet.example.test"
STAGING = ACCOUNT["staging_url"]
NEW = {"account": "1", "certificate": "", "names": NAME, "challenge": "http-01", "key": "ECDSAP256"}


@pytest.fixture
async def browser(world: RenewingApi) -> AsyncIterator[Visitor]:
    async with visitor(world.api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


def staging(world: RenewingApi) -> CaServer:
    assert isinstance(world.cas, ModelCas)
    return world.cas.staging


async def with_account(world: RenewingApi, **changes: str) -> None:
    """Make an account that is registered, and a node."""
    number = await world.account(**changes)
    assert (await world.api.call("POST", f"accounts/{number}/register", {"terms_agreed": True}))[0] == 200
    await world.api.add_node("n1")


async def test_a_newcomer_gets_from_no_account_to_an_order_and_nothing_is_ordered_before_it_was_tried(
    world: RenewingApi, browser: Visitor
):
    await world.api.add_node("n1")
    first = await browser.get("/renewals/set-up")
    assert "There is no account yet." in first.text
    account = await browser.get("/ca-accounts/new?renewal=1")
    fields = {
        "ca": "other",
        "name": "le",
        "contact": "",
        "directory_url": str(ACCOUNT["directory_url"]),
        "staging_url": str(STAGING),
        "renewal": account.hidden["renewal"],
    }
    offered = await browser.post("/ca-accounts/new", fields)
    agreed = {"terms_agreed": "1", "renewal": offered.hidden["renewal"]}
    chosen = await browser.post("/ca-accounts/1/register", agreed)
    assert chosen.path == "/renewals/set-up/certificate?account=1"
    asked = await browser.get("/renewals/set-up/terms?account=1&certificate=")
    assert (asked.hidden["account"], asked.hidden["certificate"]) == ("1", "")
    tried = await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    assert tried.path == "/renewals/1/set-up"
    assert "The test order is running." in tried.text
    await world.carry_on()
    done = await browser.get("/renewals/1/set-up")
    assert "The test order succeeded." in done.text
    assert "Once switched on, the certificate is ordered at once and goes to n1." in done.text
    assert (len(staging(world).issued), world.ca.orders) == (1, {})
    switched = await browser.post("/renewals/1/set-up")
    assert (switched.path, "Switched on" in switched.text) == ("/renewals/1", True)
    await world.carry_on()
    assert [each.names for each in world.ca.issued] == [(NAME,)]
    assert (await browser.get("/renewals/1/set-up")).path == "/renewals/1"


async def test_a_certificate_is_set_up_with_its_names_and_a_key_like_its_own(
    world: RenewingApi, browser: Visitor
):
    await with_account(world)
    number = await Showroom(world.api).upload([NAME, f"*.{NAME}"], days=300, nodes=["n1"])
    begun = await browser.get(f"/renewals/set-up?certificate={number}")
    assert (begun.hidden["certificate"], 'action="/renewals/set-up/terms"' in begun.html) == (
        str(number),
        True,
    )
    listed = await browser.get("/renewals/set-up/certificate?account=1")
    assert f'<option value="{number}">' in listed.html
    asked = await browser.get(f"/renewals/set-up/terms?account=1&certificate={number}")
    assert asked.values["names"] == [f"{NAME}\n*.{NAME}\nn1.example.test"]
    assert asked.values["challenge"] == ["dns-01"], "a wildcard is proven by DNS alone"
    fields = NEW | {"certificate": str(number), "challenge": "dns-01", "key": "RSA2048"}
    tried = await browser.post("/renewals/set-up/terms", fields)
    (shown,) = await world.api.use_cases.renewals.list()
    terms = shown.renewal.terms
    assert terms is not None
    assert (terms.names, terms.key, shown.renewal.is_paused) == ((NAME,), "RSA2048", True)
    assert "The test order is running." in tried.text
    again = await browser.post("/renewals/set-up/terms", fields)
    assert (again.status, again.values["names"]) == (409, [NAME])
    assert (
        f'<option value="{number}">' not in (await browser.get("/renewals/set-up/certificate?account=1")).html
    )


async def test_an_order_that_takes_a_slot_from_a_certificate_is_asked_about_before_it_is_kept(
    world: RenewingApi, browser: Visitor
):
    await with_account(world)
    number = await Showroom(world.api).upload(["other.example.test"], days=300, nodes=["n1"])
    asked = await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    assert (asked.status, asked.values["names"]) == (409, [NAME])
    assert f"n1 loses certificate {number} (" in asked.text
    assert await world.api.use_cases.renewals.list() == []
    confirmed = NEW | {"node": "n1", "confirm": asked.hidden["confirm"]}
    assert (await browser.post("/renewals/set-up/terms", confirmed)).path == "/renewals/1/set-up"


async def test_a_test_order_that_fails_says_why_and_is_tried_again(world: RenewingApi, browser: Visitor):
    await with_account(world)
    staging(world).unprovable.add(NAME)
    await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    await world.carry_on()
    failed = await browser.get("/renewals/1/set-up")
    assert "The test order failed." in failed.text
    assert f"what was found for {NAME} is not the proof" in failed.text.lower()
    assert world.ca.orders == {}
    staging(world).unprovable.clear()
    assert "is running" in (await browser.post("/renewals/1/set-up/test")).text
    refused = await browser.post("/renewals/1/set-up/test")
    assert (refused.status, "No test order was made" in refused.text) == (409, True)
    await world.carry_on()
    assert "The test order succeeded." in (await browser.get("/renewals/1/set-up")).text


async def test_what_was_tried_with_other_terms_counts_no_more(world: RenewingApi, browser: Visitor):
    await with_account(world)
    await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    await world.carry_on()
    (shown,) = await world.api.use_cases.renewals.list()
    body = {"account": 1, "names": [NAME, f"www.{NAME}"]}
    assert (await world.api.call("PUT", f"renewals/{shown.renewal.id}", body))[0] == 200
    assert "Not tried yet." in (await browser.get("/renewals/1/set-up")).text


async def test_a_change_between_test_orders_leads_back_to_them(world: RenewingApi, browser: Visitor):
    await with_account(world)
    staging(world).unprovable.add(NAME)
    tried = await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    await world.carry_on()
    failed = await browser.get("/renewals/1/set-up")
    assert 'href="/renewals/1/edit?set-up=1"' in failed.html
    asked = await browser.get("/renewals/1/edit?set-up=1")
    assert 'href="/renewals/1/set-up">Cancel' in asked.html
    fields = {"means": "1", "challenge": "http-01", "names": "", "key": "ECDSAP256"}
    fields |= {"profile": "", "preferred_chain": "", "send_to": ""}
    fields |= {"seen": asked.hidden["seen"], "set_up": asked.hidden["set_up"]}
    refused = await browser.post("/renewals/1/edit", fields)
    assert (refused.status, refused.hidden["set_up"]) == (400, "1")
    changed = await browser.post("/renewals/1/edit", fields | {"names": f"www.{NAME}"})
    assert (tried.path, changed.path) == ("/renewals/1/set-up", "/renewals/1/set-up")
    assert "Not tried yet." in changed.text


async def test_only_challenges_that_are_switched_on_are_offered_beside_the_one_that_is_chosen(
    world: RenewingApi, browser: Visitor
):
    await with_account(world)
    await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    pages = ("/renewals/1/edit", "/renewals/set-up/terms?account=1&certificate=")
    for path in pages:
        shown = (await browser.get(path)).html
        assert ('value="dns-01"' in shown, 'value="dns-persist-01"' in shown) == (True, False), path
    store = world.api.context.store
    known = await store.renewals.get(1)
    assert known.terms is not None
    await store.renewals.keep(replace(known, terms=replace(known.terms, challenge=ChallengeKind.DNS_PERSIST)))
    assert 'value="dns-persist-01"' in (await browser.get(pages[0])).html


async def test_where_the_ca_has_no_directory_for_tests_it_is_switched_on_untried(
    world: RenewingApi, browser: Visitor
):
    await with_account(world, staging_url="")
    assert "whose orders cannot be tried" in (await browser.get("/renewals/set-up")).text
    kept = await browser.post("/renewals/set-up/terms", NEW | {"node": "n1"})
    assert "It cannot be tried:" in kept.text
    assert world.ca.orders == {}
    assert "Switched on" in (await browser.post("/renewals/1/set-up")).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"names": "nowhere", "node": "n1"},
            "'nowhere' is no host name with a domain, such as meet.example.com, nor an IP address",
        ),
        ({"names": f"*.{NAME}", "node": "n1"}, "use dns-01"),
        ({"challenge": "x", "node": "n1"}, "Choose how the names are proven."),
        ({"key": "x", "node": "n1"}, "Choose which key is made."),
        ({}, "Choose at least one node"),
    ],
)
async def test_what_cannot_be_ordered_comes_back_as_it_was_typed(
    world: RenewingApi, browser: Visitor, changes: dict[str, str], said: str
):
    await with_account(world)
    fields = NEW | changes
    refused = await browser.post("/renewals/set-up/terms", fields)
    assert (refused.status, refused.values["names"]) == (400, [fields["names"]])
    assert said in refused.text
    assert await world.api.use_cases.renewals.list() == []


async def test_an_account_that_is_not_registered_is_registered_first(world: RenewingApi, browser: Visitor):
    await world.account()
    shown = await browser.get("/renewals/set-up")
    assert "No account is registered yet." in shown.text
    assert 'href="/ca-accounts/1/offers?renewal=1"' in shown.html
    assert 'type="radio"' not in shown.html
