"""The management node's end of its conversation, against the manager's real end."""

import asyncio

from common.ids import MANAGEMENT_NODE
from common.wire.sender import Fetch, PushAttempt
from manager.channel.allowance import Allowance
from manager.channel.connection import Connection
from manager.channel.inprocess import InProcessAgent
from manager.domain.report import Accepted, Greeting, Outcome, Report
from tests.bundles import opaque_bundle
from tests.patience import PATIENCE_S

BUNDLE = opaque_bundle(node=MANAGEMENT_NODE)
OFFERED = PushAttempt(push_id="p", manifest=BUNDLE.manifest, digest=BUNDLE.manifest.digest)


class Node:
    """A node that has nothing yet. Implements `manager.channel.inprocess.Node`."""

    manifest = None

    def report(self, now_s: float) -> Report:
        return Report(clock_s=now_s)


class Manager:
    """Welcomes, offers one bundle, and keeps what it is told."""

    def __init__(self, agent: InProcessAgent) -> None:
        self.events: asyncio.Queue[object] = asyncio.Queue()
        agent.connect(self._attach)

    def _attach(self, node, transport):
        self.connection = Connection(
            node=node,
            transport=transport,
            handle=lambda _connection, event: self.events.put_nowait(event),
            is_authorised=lambda: True,
            allowance=Allowance(0.0),
        )
        return self.connection

    async def event(self):
        async with asyncio.timeout(PATIENCE_S):
            return await self.events.get()

    async def welcome(self) -> None:
        assert isinstance(await self.event(), Greeting)
        self.connection.welcome(server_time_s=1.0, epoch=1, contact=None)


def outcome() -> Outcome:
    manifest = BUNDLE.manifest
    return Outcome(
        push_id="p",
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        result="applied",
        phase="commit",
        report=Report(clock_s=1.0),
    )


async def installing(agent: InProcessAgent) -> Manager:
    manager = Manager(agent)
    await manager.welcome()
    manager.connection.offer(OFFERED)
    wanted = await manager.event()
    manager.connection.supply("p", {digest: BUNDLE.payloads[digest] for digest in wanted.digests})
    async with asyncio.timeout(PATIENCE_S):
        install = await agent.installs.get()
    assert install.manifest == BUNDLE.manifest
    return manager


async def test_what_is_offered_comes_to_be_installed_and_its_end_is_told():
    agent = InProcessAgent(Node(), name=MANAGEMENT_NODE, version="1")
    manager = await installing(agent)
    agent.accepted("p", 15.0)
    assert await manager.event() == Accepted(push_id="p")
    agent.concluded(outcome())
    assert await manager.event() == outcome()


async def test_an_outcome_is_told_again_on_each_connection_until_it_is_acknowledged():
    agent = InProcessAgent(Node(), name=MANAGEMENT_NODE, version="1")
    manager = await installing(agent)
    agent.concluded(outcome())
    assert await manager.event() == outcome()

    again = Manager(agent)
    await again.welcome()
    assert await again.event() == outcome()
    again.connection.acknowledge("p")
    again.connection.offer(OFFERED)
    assert isinstance(await again.event(), Fetch)

    last = Manager(agent)
    await last.welcome()
    last.connection.offer(OFFERED)
    assert isinstance(await last.event(), Fetch), "an outcome that was acknowledged is told no more"


async def test_the_end_of_the_conversation_is_noticed():
    agent = InProcessAgent(Node(), name=MANAGEMENT_NODE, version="1")
    manager = Manager(agent)
    await manager.welcome()
    assert not await agent.is_lost_within(0.0)
    manager.connection.goodbye("busy", 2.0)
    assert await agent.is_lost_within(PATIENCE_S)
