"""An agent that knows several addresses reaches its manager wherever it is."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import ProtocolError, UnreachableError
from common.runtime import dial
from common.wire.contact import Contact
from nodeagent.channel import identity
from nodeagent.channel.identity import Pin
from nodeagent.channel.join import join
from nodeagent.channel.route import SPREAD_S, AddressOrder, Route
from tests.integration.channel.parts import RecordingPeer, channel


class Known:
    def __init__(self) -> None:
        self.known = None

    def set_contact(self, contact):
        self.known = contact

    def contact(self):
        return self.known


def at_once(low: float, _high: float) -> float:
    return low


@asynccontextmanager
async def unanswered() -> AsyncIterator[str]:
    """Lend an address that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        where = listening.getsockname()
        filling = [socket.socket() for _ in range(8)]
        try:
            for one in filling:
                one.setblocking(False)
                one.connect_ex(where)
            yield f"127.0.0.1:{where[1]}"
        finally:
            for one in filling:
                one.close()


def refused() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


def pin_addresses(data: Path, *addresses: str) -> None:
    known = identity.load(data)
    identity.save_pin(data, Pin(node=known.node, addresses=list(addresses), host_keys=list(known.host_keys)))


def test_the_address_that_answered_last_is_dialled_first_or_last_if_nobody_there_took_the_node():
    order = AddressOrder(random.Random(7).uniform)
    addresses = [f"m{number}:1" for number in range(6)]
    order.answered("m3:1")
    orders = [order.order(addresses) for _ in range(60)]
    assert {each[0] for each in orders} == {"m3:1"}
    assert all(sorted(each) == addresses for each in orders)
    assert {each[1] for each in orders} == set(addresses) - {"m3:1"}
    order.avoid()
    orders = [order.order(addresses) for _ in range(60)]
    assert {each[-1] for each in orders} == {"m3:1"}
    assert {each[0] for each in orders} == set(addresses) - {"m3:1"}
    assert order.order(["m3:1"]) == ["m3:1"]
    pauses = {order.pause_s() for _ in range(60)}
    assert len(pauses) > 50
    assert all(0 <= pause <= SPREAD_S for pause in pauses)


async def test_an_address_that_is_gone_costs_its_own_deadline_and_no_more(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT_S", 0.2)
    async with channel() as there, unanswered() as silent:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        pin_addresses(tmp_path, silent, refused(), there.address)
        route = Route(tmp_path, Known(), at_once)
        transport = await route.dial(RecordingPeer())
        assert transport.address == there.address
        assert route._order.order([silent, there.address])[0] == there.address


async def test_who_is_nowhere_is_said_of_each_address(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT_S", 0.2)
    async with channel() as there, unanswered() as silent:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        gone = refused()
        pin_addresses(tmp_path, silent, gone)
        with pytest.raises(UnreachableError) as caught:
            await Route(tmp_path, Known(), at_once).dial(RecordingPeer())
        assert silent in caught.value.message
        assert gone in caught.value.message


async def test_a_manager_that_announced_its_next_address_keeps_its_nodes_when_it_moves(tmp_path: Path):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        known = Known()
        route = Route(tmp_path, known, at_once)
        pin_addresses(tmp_path, there.address)
        await route.dial(RecordingPeer())
        next_address = there.address
        old = refused()
        assert await route.keep(Contact(addresses=[old, next_address]))
        assert not await route.keep(Contact(addresses=[old, next_address]))
        # after a restart of the agent, with nothing at the old address
        again = Route(tmp_path, Known(), at_once)
        assert (await again.dial(RecordingPeer())).address == next_address
        assert identity.load(tmp_path).addresses == (old, next_address)


@pytest.mark.parametrize("addresses", [[], ["m"], ["m:0"], ["m:1", "m 2:1"], ["m:1"] * 17])
async def test_what_cannot_be_dialled_changes_nothing(tmp_path: Path, addresses: list[str]):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        route = Route(tmp_path, Known(), at_once)
        await route.dial(RecordingPeer())
        before = identity.load(tmp_path).addresses
        with pytest.raises(ProtocolError):
            await route.keep(Contact(addresses=addresses))
        assert identity.load(tmp_path).addresses == before


async def test_the_former_manager_changes_nothing_of_the_one_that_the_node_joined_since(tmp_path: Path):
    async with channel() as former, channel() as present:
        await join(former.token("n1", "s3cret"), tmp_path, agent_version="0")
        route = Route(tmp_path, Known(), at_once)
        await route.dial(RecordingPeer())
        await join(present.token("n1", "other"), tmp_path, agent_version="0")
        assert not await route.keep(Contact(addresses=["198.51.100.9:9422"]))
        assert identity.load(tmp_path).addresses == (present.address,)


async def test_a_node_without_a_word_of_its_manager_keeps_nothing(tmp_path: Path):
    async with channel() as there:
        me = await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        route = Route(tmp_path, Known(), at_once)
        assert not await route.keep(Contact(addresses=["198.51.100.9:9422"]))
        assert identity.load(tmp_path).addresses == replace(me).addresses
