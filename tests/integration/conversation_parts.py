"""An agent's conversation without sockets: a manager's end made of a real Sender, and an agent that runs all its loops."""

import asyncio
from contextlib import asynccontextmanager

from common.errors import UnreachableError
from common.runtime.supervise import Supervisor
from common.wire import sender as manager
from common.wire.frames import FrameDecoder
from common.wire.messages import Outcome, Tick, Welcome, decode, encode
from common.wire.receiver import Receiver
from manager.channel.pipe import pipe
from nodeagent.channel.conversation import Conversation
from nodeagent.health.checks import Health
from tests import pki
from tests.integration.agent_parts import NODE, open_node
from tests.patience import PATIENCE_S


class Manager:
    """A manager's end: a real Sender a connection."""

    def __init__(self) -> None:
        self.received = []
        self.news = asyncio.Event()
        self.connections = 0
        self.away = False
        self.silent = False
        self.acknowledges = True
        self.clock = lambda: pki.NOW_S
        self.welcome = Welcome(verdict="ok", epoch=1, server_time_s=pki.NOW_S)
        self.bundles = {}

    async def dial(self, peer):
        if self.away:
            raise UnreachableError("the manager is away")
        near, far = pipe(asyncio.get_running_loop())
        near.attach(peer)
        far.attach(self.accept(far))
        return near

    def accept(self, transport):
        """Begin a conversation on whatever brought an agent here."""
        self.far = transport
        self.connections += 1
        self.sender = manager.Sender(0.0)
        self.decoder = FrameDecoder()
        return self

    def data_received(self, data):
        for header, blob in self.decoder.feed(data):
            self.play(self.sender.receive(decode(header), blob, 0.0))
        self.news.set()

    def connection_lost(self, error):
        self.news.set()

    def offer(self, bundle, push_id):
        self.bundles |= bundle.payloads
        self.play(
            self.sender.offer(
                manager.PushAttempt(push_id=push_id, manifest=bundle.manifest, digest=bundle.manifest.digest),
                0.0,
            )
        )

    def play(self, commands):
        for command in commands:
            match command:
                case manager.Send(message, blob):
                    self.far.write(encode(message, blob))
                case manager.Greeted(hello):
                    self.received.append(hello)
                    self.play(self.sender.welcome(self.welcome))
                case manager.Fetch(push_id, digests):
                    self.play(self.sender.supply(push_id, {one: self.bundles[one] for one in digests}, 0.0))
                case manager.Received(message):
                    self.received.append(message)
                    if isinstance(message, Outcome) and self.acknowledges:
                        self.play(self.sender.acknowledge(message.push_id))
                    if isinstance(message, Tick) and not self.silent:
                        self.play(self.sender.tock(server_time_s=self.clock(), epoch=1))

    def said(self, kind):
        return [message for message in self.received if isinstance(message, kind)]

    async def until(self, fact):
        async with asyncio.timeout(PATIENCE_S):
            while not fact():
                self.news.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self.news.wait()
                except TimeoutError:
                    pass


class Agent:
    def __init__(self, state, conversation) -> None:
        self.state = state
        self.conversation = conversation
        self.health = Health(
            state=state, status=conversation.status, is_recovered=conversation.recovered.is_set
        )


class StubRoute:
    """A way to whatever `dial` reaches. Counts how often it is to be avoided, and keeps nothing."""

    def __init__(self, dial) -> None:
        self.dial = dial
        self.avoided = 0

    def avoid(self) -> None:
        self.avoided += 1

    async def keep(self, _contact) -> bool:
        return False


def make_conversation(state, route, **more):
    async def upkeep_ended():
        pass

    return Conversation(
        receiver=Receiver(node=NODE, boot_id="boot", instance="one", agent_version="0", local=state.local),
        state=state,
        route=route,
        on_pulse=lambda: None,
        after_upkeep=upkeep_ended,
        **{"show": lambda _challenges: None, **more},
    )


@asynccontextmanager
async def agent(data, chosen, dial):
    state = await open_node(data, chosen)
    talk = make_conversation(state, StubRoute(dial), uniform=lambda low, high: low)
    async with Supervisor() as supervisor:
        for name in ("run_pulse", "run_jobs", "run", "run_upkeep"):
            supervisor.keep(name, getattr(talk, name))
        yield Agent(state, talk)
