"""What one changed certificate on one node costs the manager, counted: a processor's time depends on who else wants it."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from common.ids import NodeName
from manager.channel.pipe import pipe
from manager.fleet import conversations, reconcile
from manager.pki.read.upload import read_tls
from manager.store.sqlite_driver import Cursor
from manager.usecases.kept import new_certificate
from manager.usecases.ports import Changes
from tests import pki
from tests.fakes.simulator import NodeSimulator
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.patience import PATIENCE_S

FEW, MANY = 20, 200
RATIO_MAX = 1.15
"""What the larger fleet may cost more: measured 1.01."""

OURS = tuple(str(Path(__file__).parents[3] / room) for room in ("common", "manager"))
ROOT, ISSUER = pki.current_ca("Cost")


class Steps:
    """Lines of our own code that are run, each turn of a loop among them, and rows that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of = Counter[str]()
        self.rows = 0
        self.is_on = False
        monkeypatch.setattr(asyncio, "to_thread", _here)
        reads = Cursor.fetchall

        async def counted(cursor: Cursor) -> Any:
            rows = list(await reads(cursor))
            self.rows += len(rows) * self.is_on
            return rows

        monkeypatch.setattr(Cursor, "fetchall", counted)

    @contextmanager
    def counted(self) -> Iterator[None]:
        self.is_on, former = True, sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(former)
            self.is_on = False

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if not self.is_on or not code.co_filename.startswith(OURS):
            return None
        name = f"{code.co_filename.removeprefix(OURS[0][:-6])}:{code.co_qualname}"

        def line(_frame: FrameType, event: str, _argument: object) -> Any:
            if event == "line":
                self.of[name] += self.is_on
            return line

        return line


async def _here(function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


@asynccontextmanager
async def fleet_of(directory: Path, count: int, certificates: int) -> AsyncIterator[ApiClient]:
    """Serve so many nodes, which share so many certificates."""
    names = [NodeName(f"n{number}") for number in range(count)]
    async with real_api(directory, InPlace(), watched=False) as api:
        store = api.context.store
        # so that no alarm stands
        await api.use_cases.trust.take(ROOT.certificate_pem, actor="test")
        async with store.transaction():
            for name in names:
                node = await store.nodes.add(name, "node", names=(), addresses=(), now_s=time.time())
                api.fleet.node_added(node)
                await store.nodes.pin(name, f"ssh-ed25519 {name}", former_key="")
            for start in range(certificates):
                made = pki.current_leaf(ISSUER, ["conf.example.test"])
                text = made.certificate_pem + ISSUER.certificate_pem
                material = read_tls(certificate=text, private_key=made.key_pem)
                record, _ = await store.certificates.add(new_certificate(material), now_s=time.time())
                await store.assignments.assign(record.id, names[start::certificates], "server")
        for name in names:
            agent = NodeSimulator(name)
            near, far = pipe(asyncio.get_running_loop())
            far.attach(api.fleet.conversations.attach(name, far))
            near.attach(agent)
            agent.greet(near)
        # what was filled in was told to nobody
        api.fleet.changed(None, cause="test")
        changing = api.fleet._changes._marked
        await until(lambda: not changing.is_set())
        await api.fleet.reconciler.reconcile()
        await until(lambda: not changing.is_set() and api.fleet.counts().get("in_sync") == count)
        await api.fleet.reports.flush()
        yield api


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110 - looks on
            await asyncio.sleep(0.01)


async def change(api: ApiClient, changes: Changes) -> None:
    """Give the first node a new certificate, push it, and look for what is wrong."""
    made = pki.current_leaf(ISSUER, ["conf.example.test"])
    body = {
        "certificate": made.certificate_pem + ISSUER.certificate_pem,
        "private_key": made.key_pem,
        "nodes": ["n0"],
    }
    status, kept = await api.call("POST", "certificates", body)
    assert status == 201
    assert (await api.call("POST", "push", {"nodes": ["n0"]}))[0] == 200
    # what is waited with must run no line of ours: how often it looks depends on the machine
    facts, changing = api.fleet.registry.get(NodeName("n0")), api.fleet._changes._marked
    await until(
        lambda: (
            facts.applied is not None
            and facts.applied.leaves["server"] == kept["fingerprint"]
            and not changing.is_set()
        )
    )
    await api.fleet.reports.flush()
    await api.use_cases.alarms.evaluator._evaluate(api.fleet, await changes.take_names(0.0))


COMPARED = "manager/domain/publishing.py:wanted_manifest"


async def cost(directory: Path, count: int, certificates: int, steps: Steps) -> tuple[int, int, int]:
    """Return the lines that are run for one change, the rows that are read, and the lines of the minute's pass that compare content."""
    async with fleet_of(directory, count, certificates) as api:
        with api.fleet.subscribe() as changes:
            # the first look is at everything, and the first change takes the node from what it shares
            await change(api, changes)
            await change(api, changes)
            await api.fleet.reconciler.reconcile()
            with steps.counted():
                await change(api, changes)
            total, rows = steps.of.total(), steps.rows
            steps.of[COMPARED] = 0
            with steps.counted():
                await api.fleet.reconciler.reconcile()
    found = total, rows, steps.of[COMPARED]
    print(count, certificates, *found)  # noqa: T201 - what was measured
    print(steps.of.most_common(12))  # noqa: T201 - and where
    steps.of.clear()
    steps.rows = 0
    return found


@pytest.mark.parametrize("has_own", [False, True], ids=["one certificate for all", "one for each node"])
async def test_one_nodes_change_costs_the_same_in_a_small_and_in_a_large_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property, has_own: bool
):
    # what the manager does at rest is no part of a change
    monkeypatch.setattr(conversations, "SWEEP_S", 1e6)
    monkeypatch.setattr(reconcile, "RECONCILE_S", 1e6)
    steps = Steps(monkeypatch)
    few = await cost(tmp_path / "few", FEW, FEW if has_own else 1, steps)
    many = await cost(tmp_path / "many", MANY, MANY if has_own else 1, steps)
    record_property("lines and rows", (few, many))
    assert many[0] <= RATIO_MAX * few[0]
    assert many[1] <= RATIO_MAX * few[1]
    assert many[2] == few[2] > 0
