"""A large store: how long a page of a list, the alarms for everything, and the planning of one change take, and how that grows.

Over the real store, use cases and API; nodes are entries only. A tenth as many nodes as certificates, each with one.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass
from pathlib import Path

from common.ids import NodeName
from manager.fleet.builtin import load_builtin
from manager.pki.read.upload import read_tls, read_trusted_cas
from manager.store.inventory import Inventories
from manager.usecases.kept import new_certificate, new_trusted_ca
from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api

ROUNDS = 20
ISSUERS = 50
KEYS = 20
"""Making a key costs as much as signing; what is measured does not look at how many there are."""


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took by the clock, which others on the machine lengthen, and how long it held a CPU."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured: the 95th percentile of some rounds, or the one time that there is."""

    certificates: int
    nodes: int
    first_look: Took
    first_chains: Took
    page: Took
    alarms: Took
    alarms_after_change: Took
    alarms_after_ca: Took
    plan: Took


async def measure(count: int) -> Figures:
    """Fill a store with `count` certificates, and measure."""
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as directory:
        async with Workers() as workers, real_api(Path(directory), workers, watched=False) as api:
            return await _measure(api, count)


async def _measure(api: ApiClient, count: int) -> Figures:
    nodes = [NodeName(f"n{number}") for number in range(count // 10)]
    issuers = await fill(api, count, nodes)
    context, alarms = api.context, api.use_cases.alarms
    first_look = await _timed(Inventories(context.store, load_builtin()).current)
    # the first time, a password is proven and chains are built
    await api.call("GET", "whoami")
    # as the manager does when it starts
    gc.collect()
    gc.freeze()
    first_chains = await _timed(lambda: alarms.evaluator.evaluate(api.fleet))

    async def page() -> None:
        status, answer = await api.call("GET", "certificates?order=-expiry&search=example&limit=100")
        if status != 200 or len(answer["certificates"]) != 100:
            raise AssertionError(status)

    async def look() -> None:
        await alarms.evaluator.evaluate(api.fleet)

    page_took, alarms_took = await p95(page), await p95(look)
    after, plans = [], []
    for number in range(ROUNDS):
        # published by nobody else meanwhile: the planning is what is measured
        await _assign(api, issuers[number % ISSUERS], nodes[number])
        plans.append(await _timed(lambda name=nodes[number]: api.fleet.push([name], forced=False)))
        await _assign(api, issuers[number % ISSUERS], nodes[number])
        after.append(await _timed(look))
    return Figures(
        certificates=count,
        nodes=len(nodes),
        first_look=first_look,
        first_chains=first_chains,
        page=page_took,
        alarms=alarms_took,
        alarms_after_change=_high(after),
        alarms_after_ca=await _after_ca(api, look),
        plan=_high(plans),
    )


async def _after_ca(api: ApiClient, look: Callable[[], Awaitable[None]]) -> Took:
    """Measure after an unrelated CA came."""
    (found,) = read_trusted_cas(pki.current_ca("Other")[0].certificate_pem).certificates
    store = api.context.store
    await store.trusted_cas.add([new_trusted_ca(found)], now_s=time.time())
    return await _timed(look)


async def fill(api: ApiClient, count: int, nodes: list[NodeName]) -> list[pki.Made]:
    """Put that many certificates there, and these nodes with one each; return who issued them."""
    store, now_s = api.context.store, time.time()
    pairs = [pki.current_ca(f"Bench {number}") for number in range(ISSUERS)]
    for root, issuer in pairs:
        found = read_trusted_cas(root.certificate_pem + issuer.certificate_pem).certificates
        await store.trusted_cas.add([new_trusted_ca(each) for each in found], now_s=now_s)
    keys = [pki.make_key() for _ in range(KEYS)]
    for start in range(0, count, 1000):
        made = []
        for number in range(start, min(start + 1000, count)):
            issuer = pairs[number % ISSUERS][1]
            leaf = pki.make_leaf(
                issuer,
                [f"node{number}.example.com"],
                key=keys[number % KEYS],
                not_before_s=int(now_s) - 3600,
                # a few in a hundred expire soon
                not_after_s=int(now_s) + (5 + number % 400) * pki.DAY_S,
            )
            made.append(read_tls(certificate=leaf.certificate_pem, private_key=leaf.key_pem))
        await store.catalogue.keep([new_certificate(each) for each in made], [], now_s=now_s)
    for number, name in enumerate(nodes):
        record = await store.nodes.add(
            name, "node", names=[f"node{number}.example.com"], addresses=[], now_s=now_s
        )
        api.fleet.node_added(record)
        await store.assignments.assign(number + 1, [name], "server")
    return [issuer for _, issuer in pairs]


async def _assign(api: ApiClient, issuer: pki.Made, node: NodeName) -> None:
    """Give a node another certificate, as an upload does, without telling the fleet."""
    leaf = pki.current_leaf(issuer, [f"{node}.example.com"])
    material = read_tls(certificate=leaf.certificate_pem, private_key=leaf.key_pem)
    store = api.context.store
    await store.certificates.add(new_certificate(material), nodes=[node], now_s=time.time())


async def p95(act: Callable[[], Awaitable[None]]) -> Took:
    """Return the 95th percentile of some rounds."""
    return _high([await _timed(act) for _ in range(ROUNDS)])


async def _timed(act: Callable[[], Awaitable[object]]) -> Took:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await act()
    return Took(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _high(times: list[Took]) -> Took:
    return Took(*(statistics.quantiles(each, n=20)[18] for each in zip(*map(astuple, times), strict=True)))
