"""Every page fits the width of its window: nothing has to be scrolled sideways to be read."""

from pathlib import Path

import pytest

from tests.browser.camera import chromium, watched_page
from tests.browser.screenshots import PAGES, go
from tests.browser.showroom import showroom

pytestmark = [pytest.mark.services("chromium"), pytest.mark.timeout(600)]

WIDTHS = {"desktop": 1280, "tablet": 768, "phone": 390}
TOO_WIDE = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


async def test_no_page_is_wider_than_its_window(tmp_path: Path):
    found = {}
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url) as page,
    ):
        for path in PAGES:
            await go(page, path)
            for size, width in WIDTHS.items():
                await page.set_viewport_size({"width": width, "height": 900})
                needed, there = await page.evaluate(TOO_WIDE)
                if needed > there:
                    found[size, path] = (needed, there)
    assert found == {}
