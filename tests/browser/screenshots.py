"""`python -m tests.browser.screenshots DIRECTORY [PATH ...]`: every page at desktop and phone width, light and dark."""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page

from common.api.codes import Role
from common.runtime import log as logs
from tests.browser.camera import chromium, sign_in, watched_page
from tests.browser.showroom import Showroom, showroom
from tests.integration.api import PASSWORD, USERS

SIGN_IN = "/sign-in"
OPEN = (SIGN_IN, "/set-up/")
PAGES = (
    SIGN_IN,
    "/set-up/a-link",
    "/",
    "/push?all=1",
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
    "/renewals",
    "/renewals/by-request?certificate=6",
    "/renewals/1",
    "/renewals/2",
    "/renewals/2/edit",
    "/renewals/2/remove",
    "/renewals/3",
    "/renewals/4",
    "/renewals/set-up",
    "/renewals/set-up/certificate?account=1",
    "/renewals/set-up/terms?account=1",
    "/renewals/set-up/terms?account=1&certificate=5",
    "/renewals/5/set-up",
    "/renewals/17/set-up",
    "/renewals/18/set-up",
    "/renewals/19/set-up",
    "/ca-accounts",
    "/ca-accounts/new",
    "/ca-accounts/1",
    "/ca-accounts/1/deactivate",
    "/ca-accounts/1/edit",
    "/ca-accounts/3",
    "/ca-accounts/3/delete",
    "/ca-accounts/3/edit",
    "/ca-accounts/3/offers",
    "/requests",
    "/requests/new?replaces=1",
    "/requests/1",
    "/requests/delete?id=1",
    "/nodes",
    "/nodes/new",
    "/nodes/berlin-1",
    "/nodes/london-2",
    "/nodes/london-2/edit",
    "/nodes/london-2/join-token",
    "/nodes/london-2/retire",
    "/nodes/london-2/slots/server",
    "/nodes/london-2/slots/server/empty",
    "/nodes/london-2/generations",
    "/nodes/london-2/generations/compare?before=1&after=2",
    "/nodes/london-2/generations/1/republish",
    "/alarms",
    "/alarms/history",
    "/audit",
    "/audit/verify",
    "/findings",
    "/help",
    "/users",
    "/users/new",
    "/users/named/operator",
    "/users/named/operator/remove",
    "/users/me",
    "/users/tokens",
    "/users/tokens/1/remove",
    "/users/clients/new",
    "/users/clients/terraform/remove",
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


async def main(directory: Path, pages: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as data:
        async with showroom(Path(data)) as room, chromium() as browser:
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    await _take(browser, room, directory, pages, (size, width, height, scheme))


async def _take(
    browser: Browser, room: Showroom, directory: Path, pages: tuple[str, ...], look: tuple[str, int, int, str]
) -> None:
    size, width, height, scheme = look
    options = {
        "viewport": {"width": width, "height": height},
        "color_scheme": scheme,
        "timezone_id": "Europe/Oslo",
    }
    async with watched_page(browser, room.api.url, **options) as page:
        for path in pages:
            await go(page, path)
            target = directory / f"{file_name(path)}.{size}.{scheme}.png"
            await page.screenshot(path=target, full_page=True)
            sys.stdout.write(f"{target}\n")


async def go(page: Page, path: str) -> None:
    """Go to a page, after signing in if it is not one for who is not signed in."""
    if not path.startswith(OPEN) and not await page.locator(".who").count():
        await sign_in(page, USERS[Role.ADMINISTRATOR], PASSWORD)
    await page.goto(path)


def file_name(path: str) -> str:
    """Return what a page's picture is called."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "fleet"


if __name__ == "__main__":
    logs.configure(style="json", level="warning")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, tuple(sys.argv[2:]) or PAGES))
