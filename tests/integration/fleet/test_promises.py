"""What the fleet promises: nothing advances on send, nobody waits for another, nothing is lost."""

import asyncio
import time
from pathlib import Path

import pytest

from common.errors import StorageError
from common.ids import NodeName
from common.pki.certificate import decode
from common.wire.messages import Outcome
from manager.domain.model import NodeReportRecord
from manager.usecases.kept import new_trusted_ca
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import ANCHOR, ISSUER, ROOT, Parts, running

N1 = NodeName("n1")


async def test_a_certificate_that_is_assigned_reaches_its_nodes_and_no_others(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1", "n2", "n3")
        for name in ("n1", "n2", "n3"):
            parts.dial(name)
        one, two = await parts.assign("n1", "n2"), await parts.assign("n3")
        await parts.until_applied(one, "n1", "n2")
        await parts.until_applied(two, "n3")
        installs = parts.nodes["n3"].local.installs
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert parts.nodes["n3"].local.installs == installs
        assert parts.nodes["n2"].local.outcome is None, "the outcome was acknowledged"


async def test_custom_cas_are_delivered_in_addition_to_the_built_in_list(tmp_path: Path):
    def trusted(name: str) -> str:
        local = parts.nodes["n1"].local
        entry = next(each for each in local.manifest.entries if each.path == f"trust/{name}")
        return local.payloads[entry.digest].decode()

    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert trusted("ca-certificates.pem") == ANCHOR.certificate_pem
        root = decode(ROOT.certificate_der)
        await parts.store.trusted_cas.add([new_trusted_ca(root)], now_s=time.time())
        parts.fleet.changed(None, cause="test")
        both = ANCHOR.certificate_pem + ROOT.certificate_pem
        await parts.until(lambda: trusted("ca-certificates.pem") == both)
        assert trusted("custom-ca.pem") == ROOT.certificate_pem


async def test_a_burst_of_changes_becomes_one_generation(tmp_path: Path):
    async with running(tmp_path) as parts:
        # a loaded machine may take longer than half a second from one change to the next
        parts.fleet._changes._quiet_s = 3.0
        await parts.add("n1")
        parts.dial("n1")
        for _ in range(5):
            leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        assert parts.nodes["n1"].local.installs == 1


async def test_a_reconcile_changes_nothing_where_nothing_changed(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        await parts.until_applied(await parts.assign("n1"), "n1")
        # a slow machine may have published what nodes trust before the certificate was there
        before, installs = parts.fleet.node(N1).desired, parts.nodes["n1"].local.installs
        for _ in range(3):
            await parts.fleet.reconciler.reconcile()
        assert parts.fleet.node(N1).desired == before
        assert parts.nodes["n1"].local.installs == installs


async def test_a_reconcile_repairs_what_no_event_told(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        await parts.until_applied(await parts.assign("n1"), "n1")
        parts.fleet.changed = lambda *_args, **_kwargs: None
        leaf = await parts.assign("n1")
        await parts.fleet.reconciler.reconcile()
        await parts.until_applied(leaf, "n1")


async def test_a_restarted_manager_installs_nothing_again_where_nothing_changed(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        installs = node.local.installs
    async with running(tmp_path) as parts:
        assert parts.applied("n1") == leaf
        parts.dial("n1", node)
        await parts.until(lambda: parts.state("n1") == "in_sync")
        await parts.fleet.reconciler.reconcile()
        await asyncio.sleep(0.7)  # longer than changes are gathered
        assert node.local.installs == installs


async def test_a_change_that_was_stored_just_before_a_kill_is_pushed_after_the_restart(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.fleet.changed = lambda *_args, **_kwargs: None  # killed before it could act
        leaf = await parts.assign("n1")
    async with running(tmp_path) as parts:
        parts.dial("n1")
        await parts.until_applied(leaf, "n1")


async def test_a_push_that_is_rolled_back_leaves_desired_and_applied_apart_and_is_tried_again(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        old = await parts.assign("n1")
        await parts.until_applied(old, "n1")
        node.behaviour = "rolls_back"
        new = await parts.assign("n1")
        await parts.until(lambda: parts.state("n1") == "failed")
        slot = parts.fleet.node(N1).slots["server"]
        assert (slot.desired, slot.offered, slot.applied) == (new, new, old)
        assert parts.fleet.node(N1).last_failed.reason == "verify_mismatch"
        wait = (await parts.fleet.plan([N1])).nodes[0].plan
        assert (wait.action, "verify_mismatch" in wait.why) == ("wait", True)
        node.behaviour = "works"
        await parts.fleet.push([N1], forced=True)
        await parts.until_applied(new, "n1")
        assert parts.fleet.node(N1).last_failed is None


async def test_a_push_whose_outcome_is_lost_is_not_taken_for_applied_and_ends_well(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        node.behaviour = "never_concludes"
        leaf = await parts.assign("n1")
        await parts.until(lambda: parts.offered("n1") == leaf and parts.state("n1") == "installing")
        node.transport.close()
        node.connection_lost(None)
        await parts.until(lambda: parts.state("n1") == "offline")
        assert parts.applied("n1") is None
        fresh = parts.dial("n1", NodeSimulator(N1))
        await parts.until_applied(leaf, "n1")
        assert fresh.local.installs == 1


class Deaf:
    """A transport to an agent that stopped reading: what is written stays."""

    address = "deaf"

    def __init__(self) -> None:
        self.buffered_bytes = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        self.buffered_bytes += len(data)

    def close(self) -> None:
        self.closed = True


async def test_agents_that_never_answer_or_stop_reading_delay_nobody(tmp_path: Path, monkeypatch):
    # nobody is waited for until they are given up
    monkeypatch.setattr("common.wire.sender.WANT_DEADLINE_S", 3600.0)
    async with running(tmp_path) as parts:
        good = [f"good{number}" for number in range(50)]
        mute = [f"mute{number}" for number in range(20)]
        deaf = [f"deaf{number}" for number in range(20)]
        await parts.add(*good, *mute, *deaf)
        for name in good:
            parts.dial(name)
        for name in mute:
            parts.dial(name, NodeSimulator(NodeName(name), behaviour="never_answers"))
        transports = []
        for name in deaf:
            # it greets and asks for everything, and then reads nothing
            transport = Deaf()
            connection = parts.fleet.conversations.attach(NodeName(name), transport)
            node = NodeSimulator(NodeName(name))
            node.greet(
                type("Wire", (Deaf,), {"write": lambda _self, data, to=connection: to.data_received(data)})()
            )
            transports.append(transport)
        leaf = await parts.assign(*good, *mute, *deaf)
        await parts.until_applied(leaf, *good)
        assert all(parts.applied(name) is None for name in (*mute, *deaf))


async def test_a_second_connection_of_a_node_replaces_the_first(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        first = parts.dial("n1")
        await parts.until(lambda: first.welcomes == 1)
        second = parts.dial("n1")
        await parts.until(lambda: second.welcomes == 1 and bool(first.disconnects))
        assert first.disconnects[0].reason == "conflict"
        assert first.disconnects[0].retry_after_s == 30
        installs = first.local.installs
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        assert first.local.installs == installs
        assert second.local.applied().slots["server"].leaf == leaf


async def test_a_node_that_was_removed_is_told_to_join_again(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        await parts.until(lambda: node.welcomes == 1)
        parts.fleet.node_removed(N1)
        await parts.until(lambda: bool(node.disconnects))
        again = parts.dial("n1", NodeSimulator(N1))
        await parts.until(lambda: bool(again.disconnects))
        assert (again.welcomes, "re_enrol" in again.disconnects[0].message) == (0, True)


async def test_an_outcome_is_acknowledged_only_when_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        record, failing = parts.store.reports.record, [True]

        async def broken(
            records: list[NodeReportRecord], *, held: dict[NodeName, int]
        ) -> frozenset[NodeName]:
            if failing:
                raise StorageError("the disk is full")
            return await record(records, held=held)

        monkeypatch.setattr(parts.store.reports, "record", broken)
        monkeypatch.setattr("manager.fleet.reports.RETRY_S", 0.05)
        node = parts.dial("n1")
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        await parts.until(lambda: parts.fleet.reports.failures >= 2)
        assert isinstance(node.local.outcome, Outcome), "the node keeps what nobody wrote down"
        failing.clear()
        await parts.until(lambda: node.local.outcome is None)
        assert (await parts.store.reports.all())[N1].applied.leaves["server"] == leaf


async def test_a_store_that_fails_while_publishing_loses_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        publish, failures = parts.store.generations.publish, [1, 1]

        async def broken(items):
            if failures:
                failures.pop()
                raise StorageError("the disk is full")
            return await publish(items)

        monkeypatch.setattr(parts.store.generations, "publish", broken)
        leaf = await parts.assign("n1")
        await parts.until_applied(leaf, "n1")
        assert failures == []


async def test_a_node_that_knows_more_than_a_restored_store_waits_for_an_operator(tmp_path: Path):
    (tmp_path / "new").mkdir()
    async with running(tmp_path / "new") as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        for _ in range(3):
            newest = await parts.assign("n1")
            await parts.until_applied(newest, "n1")
        generation = node.local.applied().generation
    (tmp_path / "old").mkdir()
    async with running(tmp_path / "old", epoch=2) as parts:
        await parts.add("n1")
        restored = await parts.assign("n1")
        await parts.until(lambda: parts.fleet.node(N1).desired is not None)
        parts.dial("n1", node)
        await parts.until(lambda: parts.state("n1") == "conflict")
        await parts.fleet.reconciler.reconcile()
        assert node.local.applied().slots["server"].leaf == newest
        await parts.fleet.push([N1], forced=True)
        await parts.until_applied(restored, "n1")
        assert node.local.applied().version == (2, generation + 1)


async def test_a_stored_intermediate_completes_the_chain_that_nodes_serve(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        await parts.until_applied(await parts.assign("n1", chain=False), "n1")
        assert served(node) == 1
        await add_intermediate(parts)
        parts.fleet.changed(None, cause="trusted CAs")
        await parts.until(lambda: served(node) == 2)


def served(node: NodeSimulator) -> int:
    """How many certificates the node's fullchain holds."""
    entry = node.local.applied().by_path()["server/fullchain.pem"]
    return node.local.payloads[entry.digest].count(b"BEGIN CERTIFICATE")


async def add_intermediate(parts: Parts) -> None:
    from manager.pki.read.upload import read_trusted_cas
    from manager.usecases.kept import new_trusted_ca

    found = read_trusted_cas(ISSUER.certificate_pem).certificates
    await parts.store.trusted_cas.add([new_trusted_ca(each) for each in found], now_s=time.time())
