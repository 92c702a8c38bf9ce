"""Peers that have not logged in are bounded in number, bytes and time."""

import asyncio

import asyncssh
import pytest

from common.runtime.ssh import JOIN_SUBSYSTEM, generate_key, load_key
from manager.channel import guard
from manager.channel.arrivals import WAIT_LINE
from manager.channel.limits import Limits
from nodeagent.channel import identity
from nodeagent.channel.dial import connect
from tests.integration.channel.parts import Channel, RecordingPeer, a_good_node_is_served, channel, raw
from tests.patience import PATIENCE_S


async def hostile(there: Channel) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", there.listener.port)


async def has_its_place(reader: asyncio.StreamReader) -> None:
    """Wait for the manager's version, which is said to who has a place."""
    async with asyncio.timeout(PATIENCE_S):
        while not (line := await reader.readline()).startswith(b"SSH-2.0-"):
            assert line == WAIT_LINE


async def ends(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(PATIENCE_S):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize(
    "opening",
    [
        b"x" * 200_000,
        b"SSH-2.0-x\r\n" + b"\x00\x10\x00\x00" + b"x" * 200_000,
        b"SSH-2.0-x\r\n" + b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n" * 5000,
    ],
    ids=["no version line", "a packet of a MiB", "a packet of 4 GiB", "another protocol"],
)
async def test_a_peer_that_sends_too_much_before_it_logs_in_is_cut(opening: bytes):
    async with channel() as there:
        reader, writer = await hostile(there)
        writer.write(opening)
        await ends(reader)
        writer.close()
        await a_good_node_is_served(there)
        assert there.listener.gate.logging_in == 0


async def test_a_peer_that_does_not_say_its_version_is_cut_in_time():
    async with channel(Limits(version_s=0.3)) as there:
        reader, writer = await hostile(there)
        await ends(reader)
        writer.close()
        assert there.listener.gate.refused == {"no version line came": 1}


async def test_a_peer_that_does_not_log_in_is_cut_in_time():
    async with channel(Limits(login_s=0.3)) as there:
        reader, writer = await hostile(there)
        writer.write(b"SSH-2.0-x\r\n")
        await ends(reader)
        writer.close()
        assert there.listener.gate.refused == {"the login took too long": 1}


async def test_who_waits_takes_the_place_of_a_silent_peer_of_its_own_address():
    async with channel(Limits(logins_per_address=3, version_s=PATIENCE_S, silence_s=0.1)) as there:
        held = [await hostile(there) for _ in range(3)]
        for reader, _ in held:
            await has_its_place(reader)
        newcomer, writer = await hostile(there)
        await ends(held[0][0])
        await has_its_place(newcomer)
        assert there.listener.gate.refused == {"too slow while others waited": 1}
        for _, kept in [*held, (newcomer, writer)]:
            kept.close()


async def test_a_full_house_makes_newcomers_wait_and_disturbs_no_one_who_is_in():
    async with channel(Limits(logins=2, known_logins=2, login_s=0.5)) as there:
        peer = RecordingPeer()
        transport = await connect(there.identity("n1"), peer=peer)
        held = [await hostile(there) for _ in range(6)]
        transport.write(b"push")
        await peer.until(b"push")
        await a_good_node_is_served(there, "n2")
        for _, writer in held:
            writer.close()


async def test_a_connection_may_try_few_keys():
    async with channel(Limits(attempts=2)) as there:
        who = there.identity("n1")
        keys = [load_key(generate_key()) for _ in range(8)]
        with pytest.raises(asyncssh.Error):
            await raw(there, who, client_keys=[*keys, who.key])
        assert there.listener.gate.refused["too many keys tried"] == 1
        await a_good_node_is_served(there)


async def test_a_peer_that_closes_its_half_is_gone_at_once():
    async with channel(Limits(version_s=2 * PATIENCE_S)) as there:
        reader, writer = await hostile(there)
        writer.write_eof()
        await ends(reader)
        writer.close()
        await a_good_node_is_served(there)
        assert there.listener.gate.logging_in == 0


async def raw_to_join(there: Channel) -> asyncssh.SSHClientConnection:
    """Log in as `join`, by a key that nobody knows."""
    stranger = identity.Identity(
        node="join",
        addresses=(there.address,),
        host_keys=(there.host_line,),
        key=load_key(generate_key()),
    )
    return await raw(there, stranger)


async def test_a_login_to_join_keeps_its_place_and_its_bytes_until_it_is_gone():
    async with channel(Limits(login_bytes=8192)) as there:
        ssh = await raw_to_join(there)
        assert there.listener.gate.logging_in == 1
        async with asyncio.timeout(PATIENCE_S):
            while not ssh.is_closed():
                ssh.send_debug("x" * 1000)
                await asyncio.sleep(0)
        assert there.listener.gate.refused["too many bytes before the login"] == 1
        assert there.listener.gate.logging_in == 0


@pytest.mark.parametrize(
    ("limits", "opens", "why"),
    [
        (Limits(session_s=0.2), False, "no session was opened in time after the login"),
        (Limits(request_s=0.2), True, "no request to join came"),
    ],
)
async def test_a_login_to_join_that_does_not_ask_is_cut_in_time(limits: Limits, opens: bool, why: str):
    async with channel(limits) as there:
        ssh = await raw_to_join(there)
        if opens:
            await ssh.create_process(subsystem=JOIN_SUBSYSTEM, encoding=None)
        async with asyncio.timeout(PATIENCE_S):
            await ssh.wait_closed()
        assert there.listener.gate.refused == {why: 1}


async def test_a_node_that_floods_is_read_at_a_pace_and_not_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "NODE_BURST_BYTES", 64 * 1024)
    monkeypatch.setattr(guard, "NODE_BYTES_PER_S", 256 * 1024)
    async with channel() as there:
        peer = RecordingPeer()
        transport = await connect(there.identity("n1"), peer=peer)
        began = asyncio.get_running_loop().time()
        transport.write(b"x" * 192 * 1024)
        await peer.until(b"x" * 192 * 1024)
        assert asyncio.get_running_loop().time() - began >= 0.4
