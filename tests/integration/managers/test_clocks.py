"""A machine whose clock is wrong: nodes are told the time, and their clocks are judged, by the database's."""

import time
from collections.abc import Iterable

import pytest

from common.ids import NodeName
from common.wire.receiver import Command, ManagerSeen
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts
from tests.postgres import NEEDED

pytestmark = NEEDED

N1 = NodeName("n1")
WRONG_S = 7200.0
"""Far more than a test may take."""


class Listening(NodeSimulator):
    """A node that keeps what it is told of the time."""

    told_s: float | None = None

    def run(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, ManagerSeen):
                self.told_s = command.server_time_s
            super().run((command,))


@pytest.mark.parametrize("wrong_s", [-WRONG_S, WRONG_S])
async def test_a_manager_whose_clock_is_wrong_takes_no_nodes_clock_for_wrong(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch, wrong_s: float
):
    await first.add("n1")
    right_s, wall = first.store.clock(), time.time
    # of the manager's machine, and here of the node's too
    monkeypatch.setattr("time.time", lambda: wall() + wrong_s)
    node = first.dial("n1", Listening(N1))
    leaf = await first.assign("n1")
    await first.until_applied(leaf, "n1")
    await second.until_applied(leaf, "n1")
    assert node.told_s == pytest.approx(right_s, abs=WRONG_S / 2)
    for each in (first, second):
        view = each.fleet.node(N1)
        assert view.clock_skew_s == pytest.approx(wrong_s, abs=WRONG_S / 2)
        assert view.last_report_at_s == pytest.approx(right_s, abs=WRONG_S / 2)
        assert view.push is None or view.push.offered_at_s == pytest.approx(right_s, abs=WRONG_S / 2)
