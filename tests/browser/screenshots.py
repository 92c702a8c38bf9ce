"""`python -m tests.browser.screenshots DIRECTORY [PATH ...]`: every page at desktop and phone width, light and dark."""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser

from common.runtime import log as logs
from manager.domain.model import Role
from tests.browser.camera import chromium
from tests.browser.showroom import Showroom, showroom
from tests.integration.api import PASSWORD, USERS

PAGES = (
    "/sign-in",
    "/",
    "/push?all=1",
    "/nothing-here",
    "/certificates",
    "/certificates/by-node",
    "/certificates/new",
    "/certificates/import",
    "/certificates/2",
    "/certificates/2/edit",
    "/certificates/delete?id=2&id=5",
    "/certificates/download?id=1",
    "/trusted-cas",
    "/trusted-cas/builtin",
    "/trusted-cas/import",
    "/trusted-cas/3",
    "/trusted-cas/3/edit",
    "/trusted-cas/delete?id=1&id=3",
    "/requests",
    "/requests/new?replaces=1",
    "/requests/1",
    "/requests/delete?id=1",
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


async def main(directory: Path, pages: tuple[str, ...]) -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as data:
        async with showroom(Path(data)) as room, chromium() as browser:
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    await _take(browser, room, directory, pages, (size, width, height, scheme))


async def _take(
    browser: Browser, room: Showroom, directory: Path, pages: tuple[str, ...], look: tuple[str, int, int, str]
) -> None:
    size, width, height, scheme = look
    context = await browser.new_context(
        base_url=room.api.url,
        ignore_https_errors=True,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        timezone_id="Europe/Oslo",
    )
    page = await context.new_page()
    await page.goto("/sign-in")
    for path in pages:
        if path != "/sign-in" and "/sign-in" in page.url:
            await page.goto("/sign-in")
            await page.get_by_label("User name").fill(USERS[Role.ADMINISTRATOR])
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url("**/")
        await page.goto(path)
        name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-") or "fleet"
        target = directory / f"{name}.{size}.{scheme}.png"
        await page.screenshot(path=target, full_page=True)
        sys.stdout.write(f"{target}\n")
    await context.close()


if __name__ == "__main__":
    logs.configure(style="json", level="warning")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, tuple(sys.argv[2:]) or PAGES))
