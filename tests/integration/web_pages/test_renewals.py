"""Pages of renewals: what they say of each, and what people do there."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common.api.codes import Role
from common.ids import CertificateId
from manager.domain.etag import etag_of_renewal
from manager.domain.renewal.records import AccountId, ChallengeKind, RenewalRecord, Terms
from manager.usecases.renewal.ports import CaError
from manager.web.pages import live, renewals
from tests.browser.renewed import open_request
from tests.browser.showroom import Showroom
from tests.integration.certcast_api.renewing import RenewingApi
from tests.integration.web import Visitor, visitor
from tests.patience import PATIENCE_S

NAME = "meet.example.test"
WORDS = f"CAA record for {NAME} prevents issuance"
TERMS_URL = "https://ca.example.test/terms"


@pytest.fixture
async def browser(world: RenewingApi) -> AsyncIterator[Visitor]:
    async with visitor(world.api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


async def renewing(
    world: RenewingApi, name: str = NAME, *, days: int = 300, paused: bool = False
) -> RenewalRecord:
    """Let a certificate be renewed with an account of the CA."""
    use_cases = world.api.use_cases
    known = await use_cases.accounts.list()
    account = known[0].id if known else AccountId(await world.account())
    number = await Showroom(world.api).upload([name], days=days)
    terms = Terms(account_id=account, challenge=ChallengeKind.HTTP, profile="tlsserver")
    made = await use_cases.renewals.switch_on(CertificateId(number), terms, paused=paused, actor="ada")
    return made.renewal


def form_of(record: RenewalRecord, **changes: str) -> dict[str, str]:
    """Return the form of a renewal as it is sent, with some fields changed."""
    assert record.terms is not None
    known = {
        "means": str(record.terms.account_id),
        "challenge": record.terms.challenge.value,
        "names": "",
        "key": record.terms.key.value,
        "profile": record.terms.profile,
        "preferred_chain": "",
        "send_to": "",
        "seen": etag_of_renewal(record),
    }
    return known | changes


async def test_a_certificates_page_says_when_and_how_it_renews(world: RenewingApi, browser: Visitor):
    record = await renewing(world)
    page = await browser.get(f"/certificates/{record.certificate_id}")
    for said in (
        "Waiting It is renewed in time.",
        "Account le https://ca.example.test/directory",
        f"Names {NAME} as the certificate has them",
        "over port 80 of the nodes (HTTP-01)",
        "each time a new ECDSA P-256 key",
        "Profile tlsserver",
        "Nothing has been ordered yet.",
    ):
        assert said in page.text, said
    unrenewed = await Showroom(world.api).upload(["other.example.test"], days=90)
    assert "Renew now" not in (await browser.get(f"/certificates/{unrenewed}")).text


async def test_who_renews_now_sees_the_steps_and_the_certificate_that_came(
    world: RenewingApi, browser: Visitor
):
    record = await renewing(world)
    where = f"/renewals/{record.id}"
    begun = await browser.post(f"{where}/order")
    assert begun.path == where
    assert "An order has begun." in begun.text
    assert "Ordering" in begun.text
    assert "Renew now" not in begun.text, "one is under way"
    again = await browser.post(f"{where}/order")
    assert (again.status, "An order of this renewal is running" in again.text) == (409, True)
    await world.carry_on()
    done = await browser.get(where)
    assert done.text.index("A key and a request are made.") < done.text.index("The names are proven.")
    assert "every node that has the certificate serves it" in done.text
    number = max((await world.api.use_cases.inventory()).entries)
    assert f'href="/certificates/{number}"' in done.html
    assert number != record.certificate_id
    assert (
        "every node that has the certificate serves it" in (await browser.get(f"/certificates/{number}")).text
    )


async def test_a_test_order_is_told_apart_and_keeps_nothing(world: RenewingApi, browser: Visitor):
    record = await renewing(world, paused=True)
    world.ca.profiles = {"tlsserver": "for servers"}
    begun = await browser.post(f"/renewals/{record.id}/test")
    assert "A test order has begun." in begun.text
    await world.carry_on()
    done = await browser.get(f"/renewals/{record.id}")
    assert "the test order succeeded; its certificate is not kept" in done.text
    assert "Paused" in done.text
    assert [*(await world.api.use_cases.inventory()).entries] == [record.certificate_id]


async def test_a_failure_comes_first_in_the_list_with_the_cas_own_words_and_its_alarm_leads_there(
    world: RenewingApi, browser: Visitor
):
    sooner, broken = await renewing(world, "sooner.example.test", days=200), await renewing(world)
    world.ca.refuses[NAME] = CaError("the CA refused the order", type="caa", detail=WORDS)
    await browser.post(f"/renewals/{broken.id}/order")
    await world.carry_on()
    listed = await browser.get("/renewals")
    assert listed.text.index("Failed 1 time") < listed.text.index("sooner.example.test")
    shown = await browser.get(f"/renewals/{broken.id}")
    assert f"The CA says: {WORDS} caa" in shown.text
    assert "Tried again" in shown.text
    assert "Renew now" not in shown.text, "it rests"
    await world.api.use_cases.alarms.evaluator.evaluate(world.api.fleet)
    assert f'href="/certificates/{broken.certificate_id}#renewal"' in (await browser.get("/alarms")).html
    del world.ca.refuses[NAME]
    assert "Try again now" in shown.text
    assert "An order has begun" in (await browser.post(f"/renewals/{broken.id}/order")).text
    await world.carry_on()
    assert "Failed" not in (await browser.get(f"/renewals/{broken.id}")).text
    assert "Failed" not in (await browser.get("/renewals?search=sooner")).text
    assert sooner.id != broken.id


@pytest.mark.parametrize(("act", "is_offered"), [("register", True), ("order", False)])
async def test_terms_are_agreed_to_here_for_an_account_that_is_not_registered_and_else_where_the_ca_says(
    world: RenewingApi, browser: Visitor, act: str, is_offered: bool
):
    record = await renewing(world)
    error = CaError(f"agree at {TERMS_URL}", type="userActionRequired", is_final=True)
    # its window is asked for with the account, too
    world.ca.to_fail += [(act, error)] * 2
    await browser.post(f"/renewals/{record.id}/order")
    await world.carry_on()
    shown = await browser.get(f"/renewals/{record.id}")
    assert f"agree at {TERMS_URL}" in shown.text
    assert ("Agree to its terms" in shown.text) == is_offered


async def test_the_list_is_in_pages_and_is_searched(world: RenewingApi, browser: Visitor, monkeypatch):
    assert "Nothing is renewed automatically yet." in (await browser.get("/renewals")).text
    for days in (200, 100):
        await renewing(world, f"d{days}.example.test", days=days)
    monkeypatch.setattr(renewals, "SIZE", 1)
    assert "d100.example.test" in (await browser.get("/renewals")).text
    assert "d200.example.test" in (await browser.get("/renewals?page=2")).text
    assert "1 renewal found" in (await browser.get("/renewals?search=D200")).text
    assert "No matches." in (await browser.get("/renewals?state=requested")).text


async def test_who_saves_what_somebody_else_changed_meanwhile_is_told_first(
    world: RenewingApi, browser: Visitor
):
    record = await renewing(world)
    where = f"/renewals/{record.id}/edit"
    mine = form_of(record, profile="mine")
    assert (await browser.post(where, form_of(record, profile="theirs"))).status == 200
    told = await browser.post(where, mine)
    assert (told.status, told.values["profile"]) == (409, ["mine"])
    assert "Renewal 1 was changed in the meantime" in told.text
    assert (await browser.post(where, mine | {"seen": told.values["seen"][0]})).status == 200
    assert (await world.api.use_cases.renewals.show(record.id)).renewal.terms.profile == "mine"


async def test_it_is_edited_and_what_is_refused_comes_back_as_it_was_typed(
    world: RenewingApi, browser: Visitor
):
    record = await renewing(world)
    where = f"/renewals/{record.id}"
    asked = await browser.get(f"{where}/edit")
    assert (asked.values["means"], asked.values["profile"]) == (["1"], ["tlsserver"])
    refused = await browser.post(f"{where}/edit", form_of(record, names="no name", profile="other"))
    assert (refused.status, refused.values["names"], refused.values["profile"]) == (
        400,
        ["no name"],
        ["other"],
    )
    assert "so no CA can prove it" in refused.text
    saved = await browser.post(
        f"{where}/edit",
        form_of(record, names=f"{NAME}\nb.example.test", key="KEPT", preferred_chain="Root X"),
    )
    assert saved.path == where
    terms = (await world.api.use_cases.renewals.show(record.id)).renewal.terms
    assert terms is not None
    assert (terms.names, terms.keeps_key, terms.preferred_chain) == ((NAME, "b.example.test"), True, "Root X")
    assert "the certificate's own, kept" in saved.text


@pytest.mark.parametrize("field", ["challenge", "key", "means"])
async def test_a_choice_that_the_form_does_not_have_is_refused(
    world: RenewingApi, browser: Visitor, field: str
):
    record = await renewing(world)
    answer = await browser.post(f"/renewals/{record.id}/edit", form_of(record, **{field: "nonsense"}))
    assert answer.status == 400
    assert (await world.api.use_cases.renewals.show(record.id)).renewal.terms == record.terms


async def test_what_is_renewed_by_request_says_whom_to_send_it_to_and_leads_to_the_request(
    world: RenewingApi, browser: Visitor
):
    record = await renewing(world)
    form = form_of(record, means="request", send_to="pki@example.test")
    changed = await browser.post(f"/renewals/{record.id}/edit", form)
    assert "A signing request for pki@example.test, which is opened when it is due." in changed.text
    assert "Renew now" not in changed.text
    number = await Showroom(world.api).upload(["by-mail.example.test"], days=20)
    await open_request(world.api.use_cases, number)
    page = await browser.get(f"/certificates/{number}")
    assert "CSR 1 waits for its answer. Send it to pki@example.com" in page.text
    assert 'href="/requests/1"' in page.html
    assert "CSR 1" in (await browser.get("/renewals")).text


async def test_renewal_by_request_is_switched_on_for_who_is_to_get_it(world: RenewingApi, browser: Visitor):
    number = await Showroom(world.api).upload([NAME], days=300)
    where = "/renewals/by-request"
    assert f'href="{where}?certificate={number}"' in (await browser.get(f"/certificates/{number}")).html
    asked = await browser.get(f"{where}?certificate={number}")
    assert "a signing request with a new key is opened" in asked.text
    refused = await browser.post(where, {"certificate": str(number), "send_to": "x" * 256})
    assert (refused.status, "at most 255 printable characters" in refused.text) == (400, True)
    made = await browser.post(where, {"certificate": str(number), "send_to": "pki@example.test"})
    assert "A signing request for pki@example.test, which is opened when it is due." in made.text
    assert (await browser.get(f"{where}?certificate={number}")).path == made.path, "it is renewed already"
    again = await browser.post(where, {"certificate": str(number), "send_to": ""})
    assert (again.status, "is renewed already, by renewal 1" in again.text) == (409, True)
    assert (await browser.get(f"{where}?certificate=999")).status == 404


async def test_it_is_paused_resumed_and_turned_off_after_saying_what_follows(
    world: RenewingApi, browser: Visitor
):
    record = await renewing(world)
    where = f"/renewals/{record.id}"
    paused = await browser.post(f"{where}/pause")
    assert "not while it is paused" in paused.text
    assert "Waiting" in (await browser.post(f"{where}/resume")).text
    asked = await browser.get(f"{where}/remove")
    assert "The certificate stays where it is, and is not renewed" in asked.text
    gone = await browser.post(f"{where}/remove")
    assert gone.path == f"/certificates/{record.certificate_id}"
    assert (await browser.get(where)).status == 404
    assert await world.api.use_cases.renewals.list() == []


async def test_an_operator_renews_and_tests_and_who_reads_has_no_buttons(world: RenewingApi):
    record = await renewing(world)
    where = f"/certificates/{record.certificate_id}"
    async with visitor(world.api, Role.OPERATOR) as operator:
        page = (await operator.get(where)).text
        assert ("Renew now" in page, "Test order" in page, "Pause" in page, "Switch off" in page) == (
            True,
            True,
            False,
            False,
        )
        assert (await operator.post(f"/renewals/{record.id}/test")).status == 200
    async with visitor(world.api, Role.READ_ONLY) as reader:
        assert "Renew now" not in (await reader.get(where)).text


async def test_home_has_a_calendar_once_something_is_renewed(world: RenewingApi, browser: Visitor):
    assert "Renewal calendar" not in (await browser.get("/")).text
    due = await renewing(world, days=40)
    await Showroom(world.api).upload(["bare.example.test"], days=20)
    home = await browser.get("/")
    for said in (
        "Renewals and expiries in the next 6 weeks",
        "1 to be renewed",
        "1 expires without a renewal",
        "Renews next 1 renewal",
    ):
        assert said in home.text, said
    assert f'href="/renewals/{due.id}"' in home.html
    await world.api.use_cases.accounts.deactivate(due.terms.account_id, actor="ada")
    assert "1 to be renewed" not in (await browser.get("/")).text
    shown = (await browser.get(f"/renewals/{due.id}")).text
    for said in ("Stopped", "Its account was deactivated", "not with this account"):
        assert said in shown, said
    assert "Renew now" not in shown


async def test_a_certificate_that_is_not_there_yet_has_a_page_with_the_nodes_that_get_it(
    world: RenewingApi, browser: Visitor
):
    await world.api.add_node("n1")
    terms = Terms(
        account_id=AccountId(await world.account()), challenge=ChallengeKind.HTTP, names=("new.example.test",)
    )
    world.ca.refuses["new.example.test"] = CaError("the CA refused the order")
    shown = await world.api.use_cases.renewals.order_new(terms, nodes=["n1"], slot="server", actor="ada")
    made = shown.renewal
    await world.carry_on()
    await world.api.use_cases.alarms.evaluator.evaluate(world.api.fleet)
    assert f'href="/renewals/{made.id}"' in (await browser.get("/alarms")).html
    page = await browser.get(f"/renewals/{made.id}")
    assert "There is no certificate yet: the first order brings it." in page.text
    assert 'href="/nodes/n1"' in page.html
    asked = await browser.get(f"/renewals/{made.id}/edit")
    assert 'value="request"' not in asked.html, "nothing is there to be requested again"
    assert (await browser.post(f"/renewals/{made.id}/remove")).path == "/renewals"


async def test_who_watches_is_told_of_each_step(world: RenewingApi, browser: Visitor, monkeypatch):
    monkeypatch.setattr(live, "RENEWAL_PACE_S", 0.01)
    record = await renewing(world)
    assert f'sse-connect="/live/renewals/{record.id}"' in (await browser.get(f"/renewals/{record.id}")).html
    stream_path = f"{browser.url}/live/renewals/{record.id}"
    async with asyncio.timeout(PATIENCE_S), browser.session.get(stream_path) as stream:
        assert await stream.content.readuntil(b"\n\n") == live.CHANGED, (
            "the page may have been drawn long ago"
        )
        assert await stream.content.readuntil(b"\n\n") == live.STILL_HERE
        await world.api.use_cases.renewals.order_now(record.id, actor="ada")
        while await stream.content.readuntil(b"\n\n") != live.CHANGED:
            pass


async def test_a_stream_ends_with_its_renewal(world: RenewingApi, browser: Visitor, monkeypatch):
    monkeypatch.setattr(live, "RENEWAL_PACE_S", 0.01)
    record = await renewing(world)
    stream_path = f"{browser.url}/live/renewals/{record.id}"
    async with asyncio.timeout(PATIENCE_S), browser.session.get(stream_path) as stream:
        await stream.content.readuntil(b"\n\n")
        await world.api.use_cases.renewals.remove(record.id, actor="ada")
        # cleanly
        await stream.content.read()
    assert (await browser.get(f"/live/renewals/{record.id}")).status == 404
