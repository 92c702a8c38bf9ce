"""What a node is known to lack goes with the offer."""

from collections.abc import Iterable
from pathlib import Path

from common.ids import NodeName
from common.wire.messages import Want
from common.wire.receiver import Command
from common.wire.sender import CARRIED_MAX_BYTES, Send
from manager.fleet import delivery
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts, running


class Asking(NodeSimulator):
    """A node that counts what it asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(NodeName(name))
        self.asked: list[int] = []

    def run(self, commands: Iterable[Command]) -> None:
        commands = list(commands)
        self.asked += [
            len(command.message.digests)
            for command in commands
            if isinstance(command, Send) and isinstance(command.message, Want)
        ]
        super().run(commands)


async def in_sync(parts: Parts) -> Asking:
    """Let a node have its first certificate, for which it asks: nothing is known of it yet."""
    await parts.add("n1")
    node = Asking("n1")
    parts.dial("n1", node)
    await parts.until_applied(await parts.assign("n1"), "n1")
    assert node.asked
    assert node.asked[-1] > 0
    node.asked.clear()
    return node


async def test_a_renewed_certificate_reaches_its_node_without_a_question(tmp_path: Path):
    async with running(tmp_path) as parts:
        node = await in_sync(parts)
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert node.asked == []


async def test_after_a_restart_the_node_tells_what_it_runs_and_is_asked_no_more(tmp_path: Path):
    async with running(tmp_path) as parts:
        node = await in_sync(parts)
    async with running(tmp_path) as parts:
        parts.dial("n1", node)
        await parts.until(lambda: parts.state("n1") == "in_sync")
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert node.asked == []


async def test_a_node_that_lost_files_on_its_disk_still_gets_them(tmp_path: Path):
    async with running(tmp_path) as parts:
        node = await in_sync(parts)
        held = len(node.local.payloads)
        node.local.payloads.clear()
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert len(node.asked) == 1
        assert 0 < node.asked[0] < held


async def test_what_is_large_or_no_longer_at_hand_is_asked_for(tmp_path: Path, monkeypatch):
    async with running(tmp_path) as parts:
        node = await in_sync(parts)
        monkeypatch.setattr(delivery, "CARRIED_MAX_BYTES", 100)
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert len(node.asked) == 1
        monkeypatch.setattr(delivery, "CARRIED_MAX_BYTES", CARRIED_MAX_BYTES)
        monkeypatch.setattr(delivery, "CACHE_BYTES", 0)
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert len(node.asked) == 2


async def test_no_more_is_carried_at_once_than_may_be_on_its_way(tmp_path: Path, monkeypatch):
    async with running(tmp_path) as parts:
        node = await in_sync(parts)
        monkeypatch.setattr(delivery, "UNDER_WAY_BYTES", 100)
        monkeypatch.setattr(delivery, "RECOUNT_BYTES", 0)
        await parts.until_applied(await parts.assign("n1"), "n1")
        assert len(node.asked) == 1, "asked for, and then let through since nothing else is on its way"
