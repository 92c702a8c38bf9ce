"""What the pages do with a script, and that they do without one."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from common.api.codes import Role
from common.ids import NodeName
from manager.domain.renewal.records import OrderState, RenewalId
from manager.usecases.renewal.progress import advance
from tests import pki
from tests.browser.camera import PATIENCE_MS, chromium, sign_in, watched_page
from tests.browser.showroom import ISSUER, showroom
from tests.integration.api import PASSWORD, USERS
from tests.patience import PATIENCE_S

pytestmark = [pytest.mark.services("chromium"), pytest.mark.timeout(300)]
ADMIN = USERS[Role.ADMINISTRATOR]
expect.set_options(timeout=PATIENCE_MS)
DROP = """([target, name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, { type: "text/plain" }));
  for (const type of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""

SENT = """(button) => {
  button.form.addEventListener("submit", (event) => event.preventDefault(), { once: true });
  button.click();
  return button.getAttribute("aria-busy");
}"""

COUNTED = """
  window.signals = 0;
  document.addEventListener("htmx:sseMessage", () => { window.signals += 1; });
"""

FOLLOWED = """(link) => {
  link.addEventListener("click", (event) => event.preventDefault(), { once: true });
  link.click();
  return link.getAttribute("aria-busy");
}"""


async def drop(page: Page, selector: str, name: str, text: str) -> None:
    target = await page.locator(selector).element_handle()
    await page.evaluate(DROP, [target, name, text])


async def test_a_push_is_told_live_node_by_node_and_a_drop_fills_the_form(tmp_path: Path):
    made = pki.current_leaf(ISSUER, ["live.example.com"])
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url, timezone_id="Asia/Tokyo") as page,
    ):
        await sign_in(page, ADMIN, PASSWORD)
        wave, tiles = page.locator("#pushes"), page.locator(".tiles")
        await expect(tiles.get_by_role("link", name=re.compile(r"In sync\s+5"))).to_be_visible()

        before = room.api.fleet.node(NodeName("berlin-1")).desired.generation

        # another administrator adds a certificate meanwhile; this page is not loaded again
        async with watched_page(browser, room.api.url) as other:
            await sign_in(other, ADMIN, PASSWORD)
            await other.goto("/certificates/new")
            await drop(other, "#certificate", "leaf.pem", made.certificate_pem + ISSUER.certificate_pem)
            await drop(other, "#private_key", "leaf.key", made.key_pem)
            await other.get_by_label("london-2", exact=False).check()
            await other.get_by_label("berlin-1", exact=False).check()
            await other.get_by_role("button", name="Preview").click()
            # who saves after that has seen what it means
            await expect(other.get_by_role("region", name="Preview")).to_contain_text(
                "It is not valid for names of"
            )
            await other.get_by_role("button", name="Save").click()
            await expect(other.locator(".flash")).to_contain_text("Added live.example.com")
        failed = wave.get_by_role("row", name=re.compile("london-2"))
        await expect(failed).to_contain_text("rolled back")
        await expect(failed).to_contain_text("verify mismatch: the old leaf is served")
        applied = wave.get_by_role("row", name=re.compile("berlin-1"))
        await expect(applied).to_have_text(re.compile(rf"berlin-1\s+{before + 1}\s"))
        await expect(applied).to_contain_text("applied")

        # times are the viewer's own, with UTC behind them
        moment = page.locator("time").first
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", await moment.get_attribute("title") or "")
        utc, local = (await moment.get_attribute("title"))[11:13], (await moment.inner_text())[11:13]
        assert (int(local) - int(utc)) % 24 == 9


async def test_alarms_come_and_end_on_the_home_page_and_in_the_list_which_keeps_its_ticks(tmp_path: Path):
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url) as home,
        watched_page(browser, room.api.url) as listed,
    ):
        alarms = room.api.use_cases.alarms
        for page, path in ((home, "/"), (listed, "/alarms")):
            await sign_in(page, ADMIN, PASSWORD)
            await page.goto(path)
        first = await listed.locator("input[name='id']").first.get_attribute("id")
        box = listed.locator(f"#{first}")
        await box.check()
        number = await room.upload(["sudden.example.com"], days=-2)
        total = len(await alarms.active())
        await alarms.evaluator.evaluate(room.api.fleet)
        # neither page is loaded again
        await expect(home.get_by_role("link", name=f"All {total + 1} alarms")).to_be_visible()
        await expect(listed.get_by_role("link", name="sudden.example.com")).to_be_visible()
        await expect(listed.locator("#found")).to_have_text(f"{total + 1} alarms")
        await expect(box).to_be_checked()
        await room.api.use_cases.certificates.delete([number], force=True, actor="test")
        await alarms.evaluator.evaluate(room.api.fleet)
        await expect(home.get_by_role("link", name=f"All {total} alarms")).to_be_visible()
        await expect(listed.get_by_role("link", name="sudden.example.com")).to_have_count(0)
        await expect(box).to_be_checked()


async def test_what_changes_while_a_part_of_the_page_is_fetched_is_fetched_next(tmp_path: Path):
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url) as page,
    ):
        await sign_in(page, ADMIN, PASSWORD)
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def hold(route: Route) -> None:
            answer = await route.fetch()
            asked.set()
            await may_answer.wait()
            await route.fulfill(response=answer)

        await page.route(re.compile(r"/alarms\?search="), hold, times=1)
        await page.add_init_script(COUNTED)
        await page.goto("/alarms")
        async with asyncio.timeout(PATIENCE_S):
            await asked.wait()
        await room.upload(["sudden.example.com"], days=-2)
        await room.api.use_cases.alarms.evaluator.evaluate(room.api.fleet)
        await page.wait_for_function("window.signals >= 2", timeout=PATIENCE_MS)
        may_answer.set()
        await expect(page.get_by_role("link", name="sudden.example.com")).to_be_visible()


async def test_searching_needs_no_button_and_the_address_says_what_is_shown(tmp_path: Path):
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url, permissions=["clipboard-read", "clipboard-write"]) as page,
    ):
        await sign_in(page, ADMIN, PASSWORD)
        await page.goto("/certificates")
        await page.get_by_label("Search").press_sequentially("room12")
        await expect(page.locator("#list")).to_contain_text("2 certificates found")
        await expect(page).to_have_url(re.compile("search=room12"))
        await page.get_by_label("Status").select_option("expired")
        await expect(page.locator("#list")).to_contain_text("No matches.")

        # copied, by keyboard alone
        await page.goto("/certificates/1")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        copy = page.get_by_role("button", name="Copy", exact=True)
        await copy.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        shown = await page.locator("#fingerprint").inner_text()
        assert await page.evaluate("() => navigator.clipboard.readText()") == shown

        # a form under way says so, and cannot be sent twice
        await page.goto("/requests/new")
        assert await page.get_by_role("button", name="Create CSR").evaluate(SENT) == "true"

        # so does a link behind which a CA is asked
        await page.goto("/ca-accounts/1")
        assert await page.get_by_role("link", name="What the CA offers").evaluate(FOLLOWED) == "true"

        # what was refused is what the eye and the screen reader are led to
        await page.goto("/certificates/new")
        await page.get_by_label("TLS certificate", exact=False).first.fill("nothing")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.get_by_role("alert")).to_contain_text("That was not accepted")


async def test_without_a_script_everything_but_live_progress_works(tmp_path: Path):
    made = pki.current_leaf(ISSUER, ["plain.example.com"])
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url, java_script_enabled=False) as page,
    ):
        await sign_in(page, ADMIN, PASSWORD)
        await expect(page.locator("time").first).to_contain_text("UTC")
        await page.goto("/certificates/new")
        await page.get_by_label("TLS certificate", exact=False).first.fill(made.certificate_pem)
        await page.locator("#private_key").fill(made.key_pem)
        await page.get_by_label("berlin-2", exact=False).check()
        await page.get_by_role("button", name="Preview").click()
        await expect(page.get_by_role("region", name="Preview")).to_contain_text(
            "pairs with plain.example.com"
        )
        assert await page.locator("#private_key").input_value() == ""
        await page.locator("#private_key").fill(made.key_pem)
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".flash")).to_contain_text("It goes to 1 node now.")
        await page.goto("/certificates")
        await page.get_by_label("Search").fill("plain")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_label("Select plain.example.com").check()
        await page.get_by_role("button", name="Delete selected").click()
        await expect(page.locator("main")).to_contain_text("berlin-2")
        await page.get_by_role("button", name="Delete 1 certificate").click()
        await expect(page.locator(".flash")).to_contain_text("1 node now without")
        await page.get_by_role("link", name="Fleet", exact=True).click()
        await page.get_by_role("link", name="Dry run").click()
        await page.get_by_role("button", name="Push now").click()
        await expect(page.get_by_role("status")).to_contain_text("left as they are")


async def test_a_renewals_page_shows_each_step_as_it_is_taken_and_is_not_loaded_again(tmp_path: Path):
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url) as page,
    ):
        await sign_in(page, ADMIN, PASSWORD)
        await page.goto("/renewals/1")
        await page.get_by_role("button", name="Renew now").click()
        await expect(page.locator(".flash")).to_contain_text("An order has begun.")
        steps = page.locator(".attempt").first
        await expect(steps).to_contain_text("a key and a request are made")
        order = await room.api.context.store.orders.unfinished_of(RenewalId(1))
        assert order is not None
        await advance(room.api.context, order, OrderState.ORDERED)
        await expect(steps).to_contain_text("The CA has the order.")
        await expect(page.get_by_role("button", name="Renew now")).to_have_count(0)


async def test_a_test_order_is_told_live_on_a_phone_and_what_it_tried_is_switched_on_by_keyboard(
    tmp_path: Path,
):
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url, viewport={"width": 360, "height": 780}) as page,
    ):
        renewals, orders = room.api.use_cases.renewals, room.api.context.store.orders
        (tried,) = [
            each for each in await renewals.list() if each.orders and each.orders[0].state == "placed"
        ]
        await sign_in(page, ADMIN, PASSWORD)
        await page.goto(f"/renewals/{tried.renewal.id}/set-up")
        switch_on = page.get_by_role("button", name="Switch on")
        await expect(page.locator("#trial")).to_contain_text("The test order is running.")
        await expect(switch_on).to_have_count(0)
        await orders.keep(replace(tried.orders[0], state=OrderState.TESTED))
        await expect(page.locator("#trial")).to_contain_text("The test order succeeded.")
        await switch_on.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".flash")).to_contain_text("Switched on")
        assert not (await renewals.show(tried.renewal.id)).renewal.is_paused
