"""Kill a manager between what it keeps and what it says: whatever it had come to, its node ends with what was desired."""

import asyncio
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection as Sender
from pathlib import Path
from unittest import mock

import pytest

from common.ids import NodeName
from manager.channel.connection import Connection
from manager.fleet import delivery
from manager.store.generations import Generations
from tests.fakes.localstate import MemoryLocalState
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import running
from tests.patience import PATIENCE_S

N1 = NodeName("n1")


def die(*_args: object, **_kwargs: object) -> None:
    """End this process, as a kill from outside would at this moment."""
    os.kill(os.getpid(), signal.SIGKILL)


def before_the_commit() -> None:
    mock.patch.object(Generations, "publish", die).start()


def between_commit_and_offer() -> None:
    publish = Generations.publish

    async def publish_and_die(*args: object, **kwargs: object) -> None:
        await publish(*args, **kwargs)
        die()

    mock.patch.object(Generations, "publish", publish_and_die).start()


def at_the_offer() -> None:
    mock.patch.object(Connection, "offer", die).start()


def after_the_offer_and_what_it_carries() -> None:
    offer = Connection.offer

    def offer_and_die(*args: object) -> None:
        offer(*args)
        die()

    mock.patch.object(Connection, "offer", offer_and_die).start()


def at_the_payloads() -> None:
    # what an offer carries is not asked for
    mock.patch.object(delivery, "CARRIED_MAX_BYTES", 0).start()
    mock.patch.object(Connection, "supply", die).start()


POINTS: dict[Callable[[], None], int] = {
    before_the_commit: 1,
    between_commit_and_offer: 2,
    at_the_offer: 2,
    after_the_offer_and_what_it_carries: 2,
    at_the_payloads: 2,
}
"""Where the manager dies, and the latest generation that is kept then."""


async def install_first(directory: Path, node: NodeSimulator) -> None:
    async with running(directory) as parts:
        await parts.add("n1")
        parts.dial("n1", node)
        await parts.until_applied(await parts.assign("n1"), "n1")


def be_killed(directory: Path, local: MemoryLocalState, crash: Callable[[], None], assigned: Sender) -> None:
    """What the process does that dies: assign another certificate, and be killed on the way to the node."""
    asyncio.run(go_on(directory, NodeSimulator(N1, local=local), crash, assigned))


async def go_on(directory: Path, node: NodeSimulator, crash: Callable[[], None], assigned: Sender) -> None:
    async with running(directory) as parts:
        parts.dial("n1", node)
        await parts.until(lambda: parts.state("n1") == "in_sync")
        crash()
        assigned.send(await parts.assign("n1"))
        await asyncio.Event().wait()


async def converge(directory: Path, node: NodeSimulator, leaf: str, kept: int) -> None:
    async with running(directory) as parts:
        assert (await parts.store.generations.latest())[N1].generation == kept
        parts.dial("n1", node)
        await parts.until_applied(leaf, "n1")
        assert (await parts.store.generations.latest())[N1].generation == 2
    assert node.local.manifest.generation == 2
    assert node.local.manifest.slots["server"].leaf == leaf
    assert node.local.installs == 2


@pytest.mark.parametrize("crash", POINTS, ids=lambda crash: crash.__name__)
def test_a_manager_that_is_killed_on_its_way_to_a_node_brings_it_there_after_its_restart(tmp_path, crash):
    node = NodeSimulator(N1)
    asyncio.run(install_first(tmp_path, node))
    # a process of its own, not a fork: a lock that another thread of this one holds would never be let go there
    processes = get_context("spawn")
    hear, tell = processes.Pipe(duplex=False)
    dying = processes.Process(target=be_killed, args=(tmp_path, node.local, crash, tell))
    dying.start()
    tell.close()
    dying.join(PATIENCE_S)
    assert dying.exitcode == -signal.SIGKILL
    leaf = hear.recv()
    asyncio.run(converge(tmp_path, node, leaf, POINTS[crash]))
