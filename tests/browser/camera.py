"""Chromium, driven by Playwright, as the tests of pages and the screenshots use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


PATIENCE_MS = 30_000
_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error('policy violation: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Debian's browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


ASKED: Final = 409
"""The status of a page that asks before a change is made, which the browser's console calls an error."""


class Watch:
    """Notes whatever goes wrong in a page: errors of the console, failed requests, answers that say so, policy violations."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def check(self) -> None:
        assert not self.wrong, self.wrong

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and f"status of {ASKED} " not in message.text:
            self.wrong.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        # leaving a page ends its stream; a download is not shown
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"request: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status != ASKED:
            self.wrong.append(f"answer: {response.request.method} {response.url} {response.status}")


@asynccontextmanager
async def watched_page(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """Open a page; at the end nothing may have gone wrong in it."""
    context = await browser.new_context(base_url=url, ignore_https_errors=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(_VIOLATIONS)
    page, watch = await context.new_page(), Watch()
    watch.attach(page)
    try:
        yield page
        watch.check()
    finally:
        await context.close()


async def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in, as a user does."""
    await page.goto("/sign-in")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")
