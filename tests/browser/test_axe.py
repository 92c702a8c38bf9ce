"""axe-core on every page: nothing that it calls serious or critical."""

from pathlib import Path

import pytest

from tests.browser.camera import chromium, watched_page
from tests.browser.screenshots import PAGES, go
from tests.browser.showroom import showroom

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations
    .filter((each) => each.impact === "serious" || each.impact === "critical")
    .map((each) => each.id + ": " + each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | "));
}"""


@pytest.mark.services("chromium")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("look", [("light", 1280), ("dark", 390)], ids=lambda look: f"{look[0]}-{look[1]}")
async def test_no_page_has_a_serious_barrier(tmp_path: Path, look: tuple[str, int]):
    scheme, width = look
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url, **options) as page,
    ):
        found = {}
        for path in PAGES:
            await go(page, path)
            for details in await page.locator("main details").all():
                await details.evaluate("(element) => { element.open = true; }")
            await page.evaluate(AXE)
            if violations := await page.evaluate(RUN):
                found[path] = violations
        assert found == {}


@pytest.mark.services("chromium")
async def test_axe_would_have_told(tmp_path: Path):
    async with chromium() as browser:
        page = await browser.new_page()
        await page.set_content("<html><title>x</title><main><input></main>")
        await page.evaluate(AXE)
        assert any(found.startswith("label:") for found in await page.evaluate(RUN))
