"""Challenges come to the nodes that are to show them, and what nodes say of them is kept."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from common.errors import StorageError
from common.ids import NodeName
from common.wire.challenges import ChallengesKept, NotKept
from common.wire.messages import encode
from manager.fleet import challenges as module
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts, running
from tests.patience import PATIENCE_S

N1, N2 = NodeName("n1"), NodeName("n2")


async def place(parts: Parts, wanted: dict[NodeName, dict[str, str]], *, for_s: float = 3600.0) -> None:
    await parts.store.placed_challenges.place(wanted, until_s=parts.store.clock() + for_s)
    parts.fleet.challenges.wake()


async def remove(parts: Parts, *tokens: str) -> None:
    await parts.store.placed_challenges.remove(tokens)
    parts.fleet.challenges.wake()


def shown(parts: Parts, name: str) -> list[str] | None:
    """What a node was sent last, None for nothing yet."""
    sets = parts.nodes[name].shown
    return sorted(each.token for each in sets[-1].challenges) if sets else None


async def faults(parts: Parts) -> dict[tuple[str, str], str | None]:
    """What is kept of each: why it is not shown, "" if it is, None if nothing was said."""
    return {
        (each.node, each.token): each.fault if each.fault or each.kept_s is not None else None
        for each in await parts.store.placed_challenges.all()
    }


async def until_kept(parts: Parts, wanted: dict[tuple[str, str], str | None]) -> None:
    found: dict[tuple[str, str], str | None] | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while (found := await faults(parts)) != wanted:
                parts.fleet.challenges.wake()
                await asyncio.sleep(0.01)
    assert found == wanted


async def test_connected_nodes_are_sent_what_is_placed_and_others_when_they_connect(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1", "n2", "n3")
        for name in ("n1", "n3"):
            parts.dial(name)
        await place(parts, {N1: {"a": "a.x"}, N2: {"a": "a.x", "b": "b.x"}})
        await parts.until(lambda: shown(parts, "n1") == ["a"])
        parts.dial("n2")
        await parts.until(lambda: shown(parts, "n2") == ["a", "b"])
        await until_kept(parts, {("n1", "a"): "", ("n2", "a"): "", ("n2", "b"): ""})
        assert parts.nodes["n3"].shown == []
        challenge = parts.nodes["n1"].shown[0].challenges[0]
        assert challenge.text == "a.x"
        assert 0 < challenge.expires_in_s <= 3600


async def test_what_is_removed_or_has_expired_is_taken_away_and_an_empty_set_sent_once(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        await place(parts, {N1: {"a": "a.x", "b": "b.x"}})
        await parts.until(lambda: shown(parts, "n1") == ["a", "b"])
        await remove(parts, "a")
        await parts.until(lambda: shown(parts, "n1") == ["b"])
        await remove(parts, "b")
        await parts.until(lambda: shown(parts, "n1") == [])
        count = len(parts.nodes["n1"].shown)
        for _ in range(3):
            await parts.fleet.challenges.turn()
        assert len(parts.nodes["n1"].shown) == count
        await place(parts, {N1: {"c": "c.x"}}, for_s=0.05)
        await parts.until(lambda: shown(parts, "n1") in ([], ["c"]))
        await until_kept(parts, {})


async def test_a_set_is_sent_again_on_each_connection_and_not_without_need(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        await place(parts, {N1: {"a": "a.x"}})
        await until_kept(parts, {("n1", "a"): ""})
        for _ in range(3):
            await parts.fleet.challenges.turn()
        assert len(node.shown) == 1
        parts.dial("n1", NodeSimulator(N1))
        await parts.until(lambda: shown(parts, "n1") == ["a"])


async def test_a_node_that_holds_what_is_not_placed_any_more_is_sent_the_empty_set(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        await parts.fleet.challenges.turn()
        node = NodeSimulator(N1)
        node.local.held = 2
        parts.dial("n1", node)
        await parts.until(lambda: shown(parts, "n1") == [])


async def test_why_a_node_does_not_show_one_is_kept_and_forgotten_once_it_does(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        node.refuses["b"] = "No space left on device"
        parts.dial("n1", node)
        await place(parts, {N1: {"a": "a.x", "b": "b.x"}})
        await until_kept(parts, {("n1", "a"): "", ("n1", "b"): "No space left on device"})
        node.refuses.clear()
        node.run(node.receiver.kept(node.shown[-1], []))
        await until_kept(parts, {("n1", "a"): "", ("n1", "b"): ""})


async def test_an_agent_of_an_earlier_release_is_sent_nothing_and_said_to_be_too_old(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = NodeSimulator(N1)
        node.local.held = None
        parts.dial("n1", node)
        await place(parts, {N1: {"a": "a.x"}})
        await until_kept(parts, {("n1", "a"): module.UNKNOWING})
        assert node.shown == []


async def test_a_node_that_says_what_it_was_not_asked_changes_nothing_of_others(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1", "n2")
        liar = parts.dial("n1")
        parts.dial("n2", NodeSimulator(N2))
        parts.nodes["n2"].refuses["b"] = "no room"
        await place(parts, {N1: {"a": "a.x"}, N2: {"b": "b.x"}})
        await until_kept(parts, {("n1", "a"): "", ("n2", "b"): "no room"})
        said = ChallengesKept(number=liar.shown[-1].number, not_kept=[NotKept(token="b", message="!")])
        assert liar.transport is not None
        liar.transport.write(encode(said))
        liar.transport.write(encode(msgspec.structs.replace(said, number=0)))
        for _ in range(3):
            await parts.fleet.challenges.turn()
        assert await faults(parts) == {("n1", "a"): "", ("n2", "b"): "no room"}


async def test_a_node_that_changes_its_mind_without_end_costs_one_write_a_turn(tmp_path: Path, monkeypatch):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        node = parts.dial("n1")
        await place(parts, {N1: {"a": "a.x"}})
        await until_kept(parts, {("n1", "a"): ""})
        writes = []
        note_kept = parts.store.placed_challenges.note_kept

        async def counted(kept):
            writes.append(kept)
            await note_kept(kept)

        monkeypatch.setattr(parts.store.placed_challenges, "note_kept", counted)
        number = node.shown[-1].number
        assert node.transport is not None
        for turn in range(100):
            fault = [NotKept(token="a", message="no room")] if turn % 2 else []
            node.transport.write(encode(ChallengesKept(number=number, not_kept=fault)))
        await until_kept(parts, {("n1", "a"): "no room"})
        assert 1 <= len(writes) < 20


async def test_a_store_that_fails_loses_nothing_that_was_said(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    async with running(tmp_path) as parts:
        await parts.add("n1")
        parts.dial("n1")
        note_kept = parts.store.placed_challenges.note_kept
        failures = [StorageError("the disk is gone")] * 2

        async def failing(kept):
            if failures:
                raise failures.pop()
            await note_kept(kept)

        monkeypatch.setattr(parts.store.placed_challenges, "note_kept", failing)
        await place(parts, {N1: {"a": "a.x"}})
        await parts.until(lambda: not failures)
        await until_kept(parts, {("n1", "a"): ""})


async def test_what_was_placed_while_no_manager_ran_is_sent_at_its_start(tmp_path: Path):
    async with running(tmp_path) as parts:
        await parts.add("n1")
        await parts.store.placed_challenges.place({N1: {"a": "a.x"}}, until_s=time.time() + 3600)
    async with running(tmp_path) as parts:
        parts.dial("n1")
        await parts.until(lambda: shown(parts, "n1") == ["a"])
