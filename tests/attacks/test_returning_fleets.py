"""A fleet that comes back while others at its address begin handshakes and prove nothing: they gain nothing by it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from common.errors import UnreachableError
from common.runtime.dial import Session
from common.runtime.ssh import JOIN_USER, generate_key, load_key
from manager.channel.limits import Limits
from manager.channel.sources import KnownSources
from manager.channel.visitors import Visitor
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from tests.integration.channel.parts import Channel, RecordingPeer, channel, raw
from tests.patience import PATIENCE_S

FLEET = 120
ATTACKERS = 20
BURST, PER_S = 8.0, 8.0


class Turns:
    """Counts the handshakes that begin, and those that prove a node."""

    def __init__(self, there: Channel) -> None:
        self.begun = 0
        self._there = there
        self._take = there.listener.gate.take_turns
        there.listener.gate.take_turns = self.take

    def take(self, now_s: float) -> list[Visitor]:
        taken = self._take(now_s)
        self.begun += len(taken)
        return taken

    @property
    def in_vain(self) -> int:
        """How many proved nothing, those included that are at work."""
        return self.begun - len(self._there.peers)


@asynccontextmanager
async def attacked(there: Channel, count: int) -> AsyncIterator[None]:
    """Let so many log in to join and hang up, again and again, from the fleet's address."""
    key = load_key(generate_key())

    async def one() -> None:
        who = there.identity("join", pinned=False)
        while True:
            with contextlib.suppress(OSError, asyncssh.Error):
                connection = await raw(there, who, username=JOIN_USER, client_keys=[key])
                connection.abort()
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
        yield
        for task in tasks:
            task.cancel()


async def come_back(who: Identity) -> Session:
    """Dial, and dial again, as an agent does: on a loaded machine a login may take longer than it may."""
    while True:
        with contextlib.suppress(UnreachableError):
            return await connect(who, peer=RecordingPeer(), timeout_s=PATIENCE_S)


async def test_handshakes_that_prove_nothing_are_no_more_for_a_fleet_that_comes_back(record_property):
    loop = asyncio.get_running_loop()
    limits = Limits(
        # few, so that who has a place has its turn before the library's own deadline for a login, which begins with the place
        known_logins=32,
        known_starts_burst=BURST,
        known_starts_per_s=PER_S,
        version_s=PATIENCE_S,
        login_s=PATIENCE_S,
        dawdling_s=PATIENCE_S,
    )
    async with channel(limits, sources=KnownSources(["127.0.0.1"])) as there:
        turns, began_s = Turns(there), loop.time()
        fleet = [there.identity(f"n{number}") for number in range(FLEET)]
        async with attacked(there, ATTACKERS):
            async with asyncio.timeout(PATIENCE_S):
                sessions = await asyncio.gather(*(come_back(each) for each in fleet))
            in_vain, took_s = turns.in_vain, loop.time() - began_s
        print(
            f"{FLEET} nodes were in after {took_s:.1f} s; {in_vain} handshakes proved nothing, "
            f"{BURST + PER_S * took_s:.0f} may; {turns.begun} began"
        )
        record_property("in_vain", in_vain)
        assert in_vain <= BURST + PER_S * took_s + 1
        assert there.listener.gate.refused["too many new connections from one address in a short time"] == 0
        for session in sessions:
            session.close()
