"""Every page fits the width of its window: nothing has to be scrolled sideways to be read."""

import asyncio
from pathlib import Path

import pytest

from common.ids import NodeName
from tests.browser.camera import chromium, watched_page
from tests.browser.screenshots import PAGES, go
from tests.browser.showroom import Showroom, showroom
from tests.patience import PATIENCE_S

pytestmark = [pytest.mark.services("chromium"), pytest.mark.timeout(600)]

WIDTHS = {"desktop": 1280, "tablet": 768, "phone": 360}
TOO_WIDE = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


async def put_wide_words(room: Showroom) -> None:
    """Add a node with a name as long as some are, and let one go offline, so that the time is told at which it was heard of last."""
    await room.add_node("northern-europe-conferencing-edge-node-12")
    gone = room.simulators["berlin-2"]
    assert gone.transport is not None
    gone.transport.close()
    with room.api.fleet.subscribe() as changes:
        async with asyncio.timeout(PATIENCE_S):
            while room.api.fleet.is_connected(NodeName("berlin-2")):
                await changes.take(PATIENCE_S)


async def test_no_page_is_wider_than_its_window(tmp_path: Path):
    found = {}
    async with (
        showroom(tmp_path) as room,
        chromium() as browser,
        watched_page(browser, room.api.url) as page,
    ):
        await put_wide_words(room)
        for path in PAGES:
            await go(page, path)
            for size, width in WIDTHS.items():
                await page.set_viewport_size({"width": width, "height": 900})
                needed, there = await page.evaluate(TOO_WIDE)
                if needed > there:
                    found[size, path] = (needed, there)
    assert found == {}
