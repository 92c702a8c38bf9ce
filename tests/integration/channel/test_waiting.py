"""Nodes that wait until their manager has a place for them, and for how long an agent does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.errors import UnreachableError
from common.runtime import idle_timeout
from manager.channel import arrivals
from manager.channel.limits import Limits
from manager.channel.sources import KnownSources
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from tests.integration.channel.parts import Channel, RecordingPeer, a_good_node_is_served, channel
from tests.patience import PATIENCE_S

VERSION = b"SSH-2.0-x\r\n"
FLEET = 40
PATIENT = {"version_s": PATIENCE_S, "login_s": PATIENCE_S, "dawdling_s": PATIENCE_S}
"""A loaded machine may take seconds for a login."""


@asynccontextmanager
async def known_channel(**limits: float) -> AsyncIterator[Channel]:
    """A manager that knows that nodes come from 127.0.0.1."""
    async with channel(Limits(**limits), sources=KnownSources(["127.0.0.1"])) as there:
        yield there


async def until_told(reader: asyncio.StreamReader, count: int) -> None:
    """Wait until a connection was told so often that it waits."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            assert await reader.readline() == arrivals.WAIT_LINE


async def test_nodes_come_back_together_however_low_the_rate_of_logins_that_come_to_nothing():
    async with known_channel(known_starts_burst=4, known_starts_per_s=0.01, **PATIENT) as there:
        who = [there.identity(f"n{number}") for number in range(FLEET)]
        async with asyncio.timeout(PATIENCE_S):
            sessions = await asyncio.gather(
                *(connect(each, peer=RecordingPeer(), timeout_s=PATIENCE_S) for each in who)
            )
        assert len(sessions) == len(there.peers) == FLEET
        assert there.listener.gate.refused == {}
        for session in sessions:
            session.close()


async def test_a_node_that_is_told_to_wait_does_so_for_longer_than_for_a_silent_manager(
    monkeypatch: pytest.MonkeyPatch,
):
    silence_s = 1.0
    monkeypatch.setattr(arrivals, "SWEEP_S", silence_s / 40)
    monkeypatch.setattr(arrivals, "TOLD_EVERY_S", silence_s / 10)
    async with known_channel(known_logins=1, **PATIENT) as there:
        reader, holder = await asyncio.open_connection("127.0.0.1", there.listener.port)
        holder.write(VERSION)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"SSH-2.0-")
        witness, waiter = await asyncio.open_connection("127.0.0.1", there.listener.port)
        waiter.write(VERSION)
        who = there.identity("n1")
        async with asyncio.TaskGroup() as group:
            dialling = group.create_task(connect(who, peer=RecordingPeer(), timeout_s=silence_s))
            await until_told(witness, 30)
            assert not dialling.done()
            waiter.close()
            holder.close()
            async with asyncio.timeout(PATIENCE_S):
                (await dialling).close()
        assert set(there.listener.gate.refused) <= {"gone before there was a place"}


async def test_those_who_hung_up_while_they_waited_take_no_turn_from_who_did_not():
    async with known_channel(
        known_logins=1, known_starts_burst=2, known_starts_per_s=0.01, **PATIENT
    ) as there:
        reader, holder = await asyncio.open_connection("127.0.0.1", there.listener.port)
        holder.write(VERSION)
        async with asyncio.timeout(PATIENCE_S):
            await reader.readline()
        impatient = [await asyncio.open_connection("127.0.0.1", there.listener.port) for _ in range(FLEET)]
        for _, writer in impatient:
            writer.write(VERSION)
        async with asyncio.timeout(PATIENCE_S):
            while there.listener.gate.waiting < FLEET:  # noqa: ASYNC110 - looks on
                await asyncio.sleep(0.01)
        for _, writer in impatient:
            writer.close()
            await writer.wait_closed()
        holder.close()
        async with asyncio.timeout(PATIENCE_S):
            await a_good_node_is_served(there)
        assert there.listener.gate.refused == {"gone before there was a place": FLEET}


@asynccontextmanager
async def other_host(line: bytes, every_s: float) -> AsyncIterator[Identity]:
    """Something that accepts and says this again and again, and the identity of a node whose manager was there."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                writer.write(line)
                await asyncio.sleep(every_s)
        finally:
            writer.close()

    async with channel() as there:
        who = there.identity("n1")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Identity(node=who.node, addresses=(f"127.0.0.1:{port}",), host_keys=who.host_keys, key=who.key)


async def test_a_manager_that_accepts_and_says_nothing_is_given_up():
    async with other_host(b"", 0.05) as who, asyncio.timeout(PATIENCE_S):
        with pytest.raises(UnreachableError, match="did not answer"):
            await connect(who, peer=RecordingPeer(), timeout_s=0.3)


async def test_whoever_says_something_for_ever_is_given_up_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(idle_timeout, "HELD_MAX_S", 0.6)
    async with other_host(arrivals.WAIT_LINE, 0.05) as who, asyncio.timeout(PATIENCE_S):
        with pytest.raises(UnreachableError, match="did not answer"):
            await connect(who, peer=RecordingPeer(), timeout_s=0.3)
