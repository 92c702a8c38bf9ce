"""Reports are written together, and acknowledged only then, whatever is removed and whatever fails meanwhile."""

import itertools
from collections.abc import Mapping, Sequence

import pytest

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeReportRecord
from manager.fleet import reports
from manager.fleet.reports import ReportWriter

N1, N2 = NodeName("n1"), NodeName("n2")


class Kept:
    """A store's reports: of the nodes that there are, unless the disk is full; `meanwhile` is what happens during a write."""

    def __init__(self) -> None:
        self.is_full = False
        self.present: dict[NodeName, int] = {N1: 1, N2: 2}
        self.written: list[NodeName] = []
        self.meanwhile: list[NodeName] = []

    async def record(
        self, records: Sequence[NodeReportRecord], *, held: Mapping[NodeName, int]
    ) -> Mapping[NodeName, int | None]:
        for name in self.meanwhile:
            self.present.pop(name, None)
        if self.is_full:
            raise StorageError("the disk is full")
        self.written += [each.node for each in records if each.node in self.present]
        return {each.node: self.present[each.node] for each in records if each.node in self.present}


class Writing:
    """A writer of what two nodes report, and which of their outcomes were acknowledged."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.ended: list[NodeName] = []
        self.acknowledged: list[NodeName] = []
        self.writer = ReportWriter(
            self.kept, ended=lambda node, _session, is_nobodys: self.ended.append(node)
        )

    def report(self, name: NodeName) -> None:
        self.writer.put(self._facts(name), 1000.0)

    def outcome(self, name: NodeName) -> None:
        self.writer.put(self._facts(name), 1000.0, lambda: self.acknowledged.append(name))

    def remove(self, name: NodeName) -> None:
        self.kept.present.pop(name, None)
        self.writer.forget(name)

    async def flush(self) -> None:
        await self.writer.flush()

    async def fail(self) -> None:
        self.kept.is_full = True
        await self.writer.flush()
        self.kept.is_full = False

    async def happens(self, what: str) -> None:
        match what:
            case "report":
                self.report(N1)
            case "outcome":
                self.outcome(N1)
            case "outcome of another":
                self.outcome(N2)
            case "removal":
                self.remove(N1)
            case "write":
                await self.flush()
            case "failure":
                await self.fail()

    def _facts(self, name: NodeName) -> NodeFacts:
        return NodeFacts(name=name, kind="node", joined=True, session={N1: 1, N2: 2}[name])


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "RETRY_S", 0.0)


async def test_an_outcome_is_acknowledged_once_the_store_has_it():
    there = Writing()
    there.outcome(N1)
    await there.fail()
    assert there.acknowledged == []
    await there.flush()
    assert (there.acknowledged, there.kept.written) == ([N1], [N1])


async def test_an_outcome_of_a_node_that_was_removed_meanwhile_is_nobodys():
    there = Writing()
    there.outcome(N1)
    there.outcome(N2)
    there.remove(N1)
    await there.flush()
    assert (there.acknowledged, there.kept.written) == ([N2], [N2])


async def test_a_node_may_be_removed_while_its_outcome_is_written():
    there = Writing()
    there.outcome(N1)
    there.kept.meanwhile = [N1]
    await there.flush()
    assert (there.acknowledged, there.ended) == ([], [N1])


async def test_whatever_happens_in_whatever_order_an_outcome_that_is_acknowledged_was_written():
    for order in itertools.product(
        ("report", "outcome", "outcome of another", "removal", "write", "failure"), repeat=5
    ):
        there = Writing()
        for each in order:
            await there.happens(each)
        await there.flush()
        assert not any(there.writer.has(name) for name in (N1, N2)), order
        assert set(there.acknowledged) <= set(there.kept.written), order
        assert there.acknowledged.count(N2) == order.count("outcome of another"), order
