"""The pages over a large store, in a browser: how long they take to load, and to answer while everything is pushed.

1,000 nodes and 10,000 certificates unless told otherwise. The nodes are simulated in the manager's own process, and the
browser runs on the same machine, so all three share its cores.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Page

from bench.catalogue import fill
from common.api.codes import Role
from common.ids import NodeName
from manager.fleet.fleet import Fleet
from manager.usecases.workers import Workers
from tests import pki
from tests.browser.camera import chromium, sign_in, watched_page
from tests.browser.showroom import Showroom
from tests.integration.api import PASSWORD, USERS, real_api

ROUNDS = 7
PATHS = ("/", "/certificates?order=expiry", "/certificates?search=node77", "/nodes", "/alarms")

LOADED = """() => {
  const [entry] = performance.getEntriesByType("navigation");
  return [entry.responseEnd - entry.startTime, entry.loadEventEnd - entry.startTime];
}"""

WATCH_FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  (function frame(now) {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(frame);
  })(last);
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured, in seconds. `loads` are (answered, loaded) by path, medians; `worst_s` the slowest load of the home page."""

    certificates: int
    nodes: int
    loads: dict[str, tuple[float, float]]
    worst_s: float
    push_s: float
    pushing_loads_s: list[float]
    longest_frame_s: float


async def measure(count: int) -> Figures:
    """Fill a store, connect its nodes, and look at it."""
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as directory:
        async with Workers() as workers, real_api(Path(directory), workers, watched=False) as api:
            names = [NodeName(f"n{number}") for number in range(count // 10)]
            await fill(api, count, names)
            room = Showroom(api)
            for name in names:
                await api.context.store.nodes.pin(name, f"ssh-ed25519 {name}", former_key="")
                api.fleet.node_joined(await api.context.store.nodes.get(name))
                room.dial(name)
            await api.fleet.push(None, forced=False)
            await _settled(api.fleet)
            await api.use_cases.alarms.evaluator.evaluate(api.fleet)
            async with chromium() as browser, watched_page(browser, api.url) as page:
                return await _look(room, page, count)


async def _look(room: Showroom, page: Page, count: int) -> Figures:
    await sign_in(page, USERS[Role.ADMINISTRATOR], PASSWORD)
    loads = {path: [await _load(page, path) for _ in range(ROUNDS)] for path in PATHS}
    await page.goto("/")
    await page.evaluate(WATCH_FRAMES)
    # one trusted CA more is a change for every node
    trust, started = room.api.use_cases.trust, time.perf_counter()
    ((record, _),) = (await trust.take(pki.current_ca("Pages")[0].certificate_pem, actor="bench")).kept
    async with asyncio.TaskGroup() as group:
        pushing = group.create_task(room.api.fleet.push(None, forced=False))
        await asyncio.sleep(0.2)
        second = await page.context.new_page()
        during = []
        while not pushing.done() or room.api.fleet.counts().get("in_sync", 0) < count // 10:
            during.append((await _load(second, "/"))[1])
    push_s = time.perf_counter() - started
    longest_s = float(await page.evaluate("() => window.longest")) / 1000
    await trust.delete([record.id], force=True, actor="bench")
    return Figures(
        certificates=count,
        nodes=count // 10,
        loads={
            path: (statistics.median(each[0] for each in found), statistics.median(each[1] for each in found))
            for path, found in loads.items()
        },
        worst_s=max(each[1] for each in loads["/"]),
        push_s=push_s,
        pushing_loads_s=during,
        longest_frame_s=longest_s,
    )


async def _settled(fleet: Fleet) -> None:
    """Wait until every joined node has what it should."""
    while fleet.counts().get("installing", 0) or fleet.counts().get("pending", 0):  # noqa: ASYNC110 - looks on, as an operator would
        await asyncio.sleep(0.05)


async def _load(page: Page, path: str) -> tuple[float, float]:
    """Return when the answer was there, and when the page was loaded, in seconds from the start."""
    await page.goto(path)
    answered_ms, loaded_ms = await page.evaluate(LOADED)
    return answered_ms / 1000, loaded_ms / 1000
