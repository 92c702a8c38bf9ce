"""Pages and lists over a large fleet: what a request costs of a CPU, and how long it keeps the event loop, at 100, 1,000 and 10,000 nodes.

Over the real store, use cases and HTTPS endpoint, as in `bench.catalogue`. Nodes are simulated over the real conversation and have
installed what they should. Half of the fleet has one certificate; every ten of the others share one.
"""

import asyncio
import gc
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

import aiohttp

from bench.catalogue import fill
from common.api.codes import Role
from common.ids import CertificateId, NodeName
from manager.api.app import ROOT
from manager.usecases.workers import Workers
from tests.attacks.watchdog import watching
from tests.browser.showroom import Showroom
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api

ROUNDS: Final = 5
TOGETHER: Final = 10
"""Nodes that share a certificate."""

STATUS: Final = "/api/admin/status/v1"
CONFIGURATION: Final = "/api/admin/configuration/v1"
PATHS: Final = MappingProxyType(
    {
        "home": "/",
        "nodes": "/nodes",
        "nodes, last page": "/nodes?page={last}",
        "nodes, searched": "/nodes?search=n77",
        "nodes, in sync": "/nodes?state=in_sync",
        "nodes, by state": "/nodes?order=-state",
        "nodes, by expiry": "/nodes?order=expiry",
        "nodes, by last seen": "/nodes?order=-heard",
        "a node": "/nodes/n7",
        "a certificate of half": "/certificates/1",
        "a certificate's form": "/certificates/1/edit",
        "certificates": "/certificates?order=expiry",
        "certificates by node": "/certificates/by-node",
        "a new certificate": "/certificates/new",
        "dry run of all": "/push?all=1",
        "alarms": "/alarms",
        "audit": "/audit",
        "API nodes": f"{ROOT}/nodes",
        "API fleet": f"{ROOT}/fleet",
        "API alarms": f"{ROOT}/alarms",
        "metrics": "/metrics",
        "worker_vm": f"{CONFIGURATION}/worker_vm/",
        "worker_vm, all": f"{CONFIGURATION}/worker_vm/?limit=0",
        "worker_vm, found": f"{CONFIGURATION}/worker_vm/?name=n77",
        "one worker_vm": f"{CONFIGURATION}/worker_vm/77/",
        "status": f"{STATUS}/worker_vm/?limit=1",
        "status, all": f"{STATUS}/worker_vm/?limit=0",
        "status of one": f"{STATUS}/worker_vm/77/",
        "tls_certificate": f"{CONFIGURATION}/tls_certificate/?limit=20",
        "tls_certificate, all": f"{CONFIGURATION}/tls_certificate/?limit=0",
        "alarm": f"{STATUS}/alarm/?limit=0",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one request took: of a CPU (the median of some rounds), of the loop at a stretch (the longest), and in bytes."""

    cpu_s: float
    loop_s: float
    size_bytes: int


async def measure(nodes: int, paths: Sequence[str] = tuple(PATHS)) -> dict[str, Cost]:
    """Fill a store, connect its nodes, and ask for every page and list."""
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as directory:
        async with Workers() as workers, real_api(Path(directory), workers, watched=False) as api:
            await fill_fleet(api, nodes)
            headers = {"Cookie": await sign_in(api)}
            found = {}
            for name in paths:
                address = PATHS[name].format(last=(nodes + 99) // 100)
                found[name] = await _cost(partial(get, api, address, headers))
            return found


async def fill_fleet(api: ApiClient, count: int) -> None:
    """Put that many nodes there, connected and in sync."""
    names = [NodeName(f"n{number}") for number in range(count)]
    await fill(api, 1 + count // 2 // TOGETHER, [])
    store, room, now_s = api.context.store, Showroom(api), time.time()
    async with store.transaction():
        for number, name in enumerate(names):
            await store.nodes.add(
                name,
                "node",
                names=[f"{name}.example.com"],
                addresses=[f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"],
                now_s=now_s,
            )
            await store.nodes.pin(name, f"ssh-ed25519 {name}", former_key="")
        half = count // 2
        await store.assignments.assign(CertificateId(1), names[:half], "server")
        for start in range(half, count, TOGETHER):
            number = CertificateId(2 + (start - half) // TOGETHER)
            await store.assignments.assign(number, names[start : start + TOGETHER], "server")
    for record in await store.nodes.list():
        api.fleet.node_added(record)
        room.dial(record.name)
        await asyncio.sleep(0)
    with api.fleet.subscribe() as changes:
        await api.fleet.push(None, forced=False)
        while api.fleet.counts().get("in_sync", 0) < count:
            await changes.take_names(timeout_s=1)
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)


async def sign_in(api: ApiClient) -> str:
    """Begin a session; return its cookie."""
    page, cookie = await _form(api)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    if csrf is None:
        raise AssertionError(page)
    form = {"csrf": csrf[1], "name": USERS[Role.ADMINISTRATOR], "password": PASSWORD}
    async with api.session.post(
        f"{api.url}/sign-in",
        data=urlencode(form),
        headers={"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"},
        allow_redirects=False,
    ) as answer:
        return answer.headers["Set-Cookie"].partition(";")[0]


async def _form(api: ApiClient) -> tuple[str, str]:
    async with api.session.get(f"{api.url}/sign-in") as answer:
        return await answer.text(), answer.headers["Set-Cookie"].partition(";")[0]


async def get(api: ApiClient, path: str, headers: dict[str, str]) -> int:
    """Ask for a page or a list; return its length in bytes."""
    if path.startswith("/api/"):
        headers = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
    async with api.session.get(f"{api.url}{path}", headers=headers, allow_redirects=False) as answer:
        size = 0
        async for piece in answer.content.iter_any():
            size += len(piece)
        if answer.status != 200:
            raise AssertionError(path, answer.status)
        return size


async def _cost(act: Callable[[], Awaitable[int]]) -> Cost:
    size = await act()
    # as the manager does when it starts
    gc.collect()
    gc.freeze()
    times = []
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        await act()
        times.append(time.process_time() - begun_s)
    with watching() as watchdog:
        await act()
    return Cost(
        cpu_s=statistics.median(times), loop_s=max(each[0] for each in watchdog.slowest), size_bytes=size
    )
