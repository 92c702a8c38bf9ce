"""The channel between nodes and the manager: who gets in, and what is refused."""

import asyncio

import asyncssh
import pytest
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_IGNORE

from common.errors import (
    AccessError,
    Reason,
    UnreachableError,
)
from common.runtime.ssh import JOIN_SUBSYSTEM, SUBSYSTEM, generate_key, load_key, public_line
from nodeagent.channel import identity
from nodeagent.channel.dial import connect
from tests.integration.channel.parts import RecordingPeer, a_good_node_is_served, channel, raw
from tests.patience import PATIENCE_S


async def test_bytes_go_both_ways_and_an_end_is_noticed():
    async with channel() as there:
        peer = RecordingPeer()
        transport = await connect(there.identity("n1"), peer=peer)
        transport.write(b"x" * 100_000)
        await peer.until(b"x" * 100_000)
        there.peers[0].transport.close()
        async with asyncio.timeout(PATIENCE_S):
            await peer.lost.wait()
            await there.peers[0].lost.wait()


async def test_an_unknown_key_is_refused():
    async with channel() as there:
        with pytest.raises(AccessError) as caught:
            await connect(there.identity("n1", pinned=False), peer=RecordingPeer())
        assert caught.value.reason is Reason.FORBIDDEN
        await a_good_node_is_served(there)


async def test_a_known_key_under_another_nodes_name_is_refused():
    async with channel() as there:
        mine, other = there.identity("n1"), there.identity("n2")
        forged = identity.Identity(
            node=other.node, addresses=mine.addresses, host_keys=mine.host_keys, key=mine.key
        )
        with pytest.raises(AccessError):
            await connect(forged, peer=RecordingPeer())


async def test_a_manager_with_another_host_key_is_not_talked_to():
    other = public_line(load_key(generate_key()))
    async with channel() as there:
        with pytest.raises(AccessError) as caught:
            await connect(there.identity("n1", host_line=other), peer=RecordingPeer())
        assert "not the expected manager" in caught.value.message
        assert there.peers == []


async def test_nobody_listening_is_told_as_unreachable():
    async with channel() as there:
        who = there.identity("n1")
    with pytest.raises(UnreachableError):
        await connect(who, peer=RecordingPeer(), timeout_s=2)


@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "none"])
async def test_other_ways_to_log_in_are_refused(method: str):
    async with channel() as there:
        with pytest.raises(asyncssh.PermissionDenied):
            await raw(there, there.identity("n1"), client_keys=None, password="x", preferred_auth=[method])
        await a_good_node_is_served(there)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ssh: ssh.create_process(),
        lambda ssh: ssh.create_process("id"),
        lambda ssh: ssh.create_process(subsystem="sftp"),
        lambda ssh: ssh.create_process(subsystem=JOIN_SUBSYSTEM),
        lambda ssh: ssh.start_sftp_client(),
        lambda ssh: ssh.create_process("certcast", term_type="xterm"),
        lambda ssh: ssh.open_connection("127.0.0.1", 22),
        lambda ssh: ssh.open_unix_connection("/run/x"),
    ],
    ids=["shell", "exec", "sftp-subsystem", "join-subsystem", "sftp", "pty", "tcp-forward", "unix-forward"],
)
async def test_whatever_is_not_the_one_subsystem_is_refused(ask):
    async with channel() as there:
        async with await raw(there, there.identity("n1")) as ssh:
            with pytest.raises((asyncssh.ChannelOpenError, asyncssh.SFTPError, asyncssh.Error)):
                await ask(ssh)
        assert there.peers == []
        await a_good_node_is_served(there)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ssh: ssh.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22),
        lambda ssh: ssh.forward_remote_path("/run/certcast-s", "/run/certcast-t"),
    ],
    ids=["tcp", "unix"],
)
async def test_remote_forwarding_is_refused(ask):
    async with channel() as there, await raw(there, there.identity("n1")) as ssh:
        with pytest.raises(asyncssh.ChannelListenError):
            await ask(ssh)


async def test_a_second_session_on_a_connection_is_refused_and_the_first_goes_on():
    async with channel() as there, await raw(there, there.identity("n1")) as ssh:
        first = await ssh.create_process(subsystem=SUBSYSTEM, encoding=None)
        with pytest.raises(asyncssh.ChannelOpenError):
            await ssh.create_process(subsystem=SUBSYSTEM, encoding=None)
        first.stdin.write(b"still here")
        async with asyncio.timeout(PATIENCE_S):
            assert await first.stdout.readexactly(10) == b"still here"
        assert len(there.peers) == 1


async def test_an_exception_in_a_peer_closes_that_connection_alone(capsys):
    async with channel() as there:
        peer = RecordingPeer()
        transport = await connect(there.identity("n1"), peer=peer)
        there.peers[0].data_received = lambda data: 1 / 0
        transport.write(b"boom")
        async with asyncio.timeout(PATIENCE_S):
            await peer.lost.wait()
        await a_good_node_is_served(there)


async def test_neither_end_sends_messages_that_the_other_is_to_ignore(monkeypatch: pytest.MonkeyPatch):
    ignored = []
    monkeypatch.setitem(SSHConnection._packet_handlers, MSG_IGNORE, lambda *_: ignored.append(1))
    async with channel() as there:
        await a_good_node_is_served(there)
        assert ignored == []
