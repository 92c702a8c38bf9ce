"""A node's key that was revoked while its holder waits somewhere on the way from the login to the next file."""

import asyncio
import contextlib
from pathlib import Path

import asyncssh
import pytest
from asyncssh.channel import SSHClientChannel

from common.errors import Reason
from common.ids import Digest, NodeName
from common.runtime.ssh import JOIN_USER, SUBSYSTEM, common_options, generate_key, load_key, public_line
from common.wire.messages import Hello, Report, encode
from manager.channel.allowance import Allowance
from manager.channel.connection import Connection
from manager.channel.conversation import Ended
from manager.channel.limits import Limits
from tests.attacks.manager_parts import Manager, Raw, Watched, ends, manager
from tests.patience import PATIENCE_S

N1 = NodeName("n1")
GREETING = encode(
    Hello(protocol=1, node="n1", boot_id="b", agent_version="0", instance="thief", report=Report())
)


def has_private_key(received: bytes) -> bool:
    return b"PRIVATE KEY" in bytes(received)


async def everything_from(connection: asyncssh.SSHClientConnection) -> bytes:
    """Open the session, ask for all there is, and return what came until the manager ended it."""
    try:
        _, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
    except asyncssh.Error:
        return b""
    async with asyncio.timeout(PATIENCE_S):
        await session.lost.wait()
    return bytes(session.received)


async def deleted_and_added_again(there: Manager, _key: asyncssh.SSHKey) -> None:
    await there.remove("n1")
    await there.add("n1")
    await joined_and_served(there)


async def joined_by_another_machine(there: Manager, _key: asyncssh.SSHKey) -> None:
    await joined_and_served(there)


async def rotated(there: Manager, key: asyncssh.SSHKey) -> None:
    new = await there.rotate("n1", key)
    await there.converse("n1", new)
    await there.until_in_sync("n1")


async def deleted(there: Manager, _key: asyncssh.SSHKey) -> None:
    await there.remove("n1")


async def joined_and_served(there: Manager) -> Watched:
    watched = await there.converse("n1", await there.join("n1"))
    await there.until_in_sync("n1")
    assert has_private_key(watched.received)
    return watched


REVOKED = pytest.mark.parametrize(
    "revoke",
    [deleted, deleted_and_added_again, joined_by_another_machine, rotated],
    ids=lambda each: each.__name__,
)


@REVOKED
async def test_a_login_that_waited_while_its_key_was_revoked_opens_no_session(tmp_path: Path, revoke):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        parked = await there.login("n1", key)
        await revoke(there, key)
        await ends(parked)
        assert await everything_from(parked) == b""
        with pytest.raises(asyncssh.PermissionDenied):
            await there.login("n1", key)


@REVOKED
async def test_a_session_that_has_not_greeted_ends_with_its_key_and_gets_no_private_key(
    tmp_path: Path, revoke
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        parked = await there.login("n1", key)
        channel, session = await parked.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        await revoke(there, key)
        with contextlib.suppress(BrokenPipeError):
            channel.write(GREETING)
        await ends(parked)
        assert not has_private_key(session.received)
        assert b"goodbye" in session.received


@REVOKED
async def test_a_conversation_under_way_ends_with_its_key(tmp_path: Path, revoke):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        watched = await there.converse("n1", key)
        await there.until_in_sync("n1")
        watched.received.clear()
        await revoke(there, key)
        async with asyncio.timeout(PATIENCE_S):
            await watched.lost.wait()
        assert not has_private_key(watched.received)
        assert len(watched.node.disconnects) == 1


async def test_where_a_removed_node_came_from_has_no_places_of_its_own_any_more(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        await joined_and_served(there)
        assert "127.0.0.1" in there.listener.sources
        await there.remove("n1")
        assert "127.0.0.1" not in there.listener.sources


async def test_a_node_added_again_with_the_very_same_key_is_not_who_logged_in_before(tmp_path: Path):
    async with manager(tmp_path) as there:
        key = load_key(generate_key())
        before = there.directory.pin(N1, public_line(key))
        there.directory.forget(N1)
        after = there.directory.pin(N1, public_line(key))
        assert [there.directory.is_current(each) for each in (before, after)] == [False, True]


async def test_a_key_that_was_revoked_without_a_goodbye_is_neither_heard_nor_told_anything():
    class Wire:
        address, buffered_bytes = "192.0.2.1", 0

        def __init__(self) -> None:
            self.written: list[bytes] = []
            self.closed = 0

        def write(self, data: bytes) -> None:
            self.written.append(data)

        def close(self) -> None:
            self.closed += 1

    for act in (
        lambda line: line.data_received(GREETING),
        lambda line: line.supply("push", {Digest("0" * 64): b"PRIVATE KEY"}),
        lambda line: line.tock(server_time_s=0.0, epoch=1, contact=None),
        lambda line: line.acknowledge("push"),
        lambda line: line.sweep(float("inf")),
    ):
        wire, events = Wire(), []
        connection = Connection(
            node=N1,
            transport=wire,
            handle=lambda _connection, event, events=events: events.append(event),
            is_authorised=lambda: False,
            allowance=Allowance(0.0),
        )
        act(connection)
        assert (wire.written, wire.closed, events) == ([], 1, [Ended(Reason.UNAUTHENTICATED)])


async def test_who_asks_about_a_nodes_key_and_logs_in_to_join_is_not_that_node(tmp_path: Path):
    """The public half of a node's key is no secret; who only asks whether it would do has proven nothing."""
    async with manager(tmp_path) as there:
        await there.add("n1")
        await there.until(lambda: there.fleet.node(N1).desired is not None)
        asks = AsksFirst()
        await asks.connect(there, about=await there.join("n1"), own=load_key(generate_key()))
        assert asks.would_do
        with pytest.raises(asyncssh.Error):
            await asks.connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)


async def test_a_login_without_a_session_ends_in_time(tmp_path: Path):
    async with manager(tmp_path, Limits(session_s=0.3)) as there:
        await there.add("n1")
        key = await there.join("n1")
        idle = await there.login("n1", key)
        half = await there.login("n1", key)
        # a session that never says what it is for is none
        loop = asyncio.get_running_loop()
        await SSHClientChannel(half, loop, "strict", None, "strict", 2**15, 2**15)._open(b"session")
        await ends(idle)
        await ends(half)
        assert Limits().session_s == 15.0


async def test_a_key_holds_few_connections_and_the_oldest_goes(tmp_path: Path):
    async with manager(tmp_path, Limits(connections_per_key=3)) as there:
        await there.add("n1")
        key = await there.join("n1")
        held = [await there.login("n1", key) for _ in range(5)]
        for old in held[:2]:
            await ends(old)
        watched = await there.converse("n1", key)
        await there.until_in_sync("n1")
        assert has_private_key(watched.received)


async def test_what_is_compiled_for_a_node_is_not_told_to_another_that_got_its_name_meanwhile(
    tmp_path: Path, monkeypatch
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        compiled, go_on = asyncio.Event(), asyncio.Event()
        publish = there.store.generations.publish

        async def held_up(items):
            if not compiled.is_set():
                compiled.set()
                await go_on.wait()
            return await publish(items)

        monkeypatch.setattr(there.store.generations, "publish", held_up)
        await compiled.wait()
        await there.remove("n1")
        await there.add("n1")
        watched = await there.converse("n1", await there.join("n1"))
        await there.until(lambda: watched.node.welcomes == 1)
        go_on.set()
        await there.until_in_sync("n1")
        first, second = there.keys_of["n1"]
        assert second.encode() in watched.received
        assert first.encode() not in watched.received


class AsksFirst(asyncssh.SSHClient):
    """A client that asks, under a node's name, whether the node's key would do, and then logs in to join with its own."""

    def __init__(self) -> None:
        self.would_do = False
        self.connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def turn(self, _data: bytes) -> bytes:
        """The manager has said that the key would do, and waits for a signature: there is none to be had."""
        self.would_do = True
        self.connection._username = JOIN_USER
        raise ValueError

    async def connect(self, there: Manager, *, about: asyncssh.SSHKey, own: asyncssh.SSHKey) -> None:
        (asked,) = asyncssh.load_keypairs([about])
        asked.sign = self.turn
        there.keep(
            await asyncssh.connect(
                "127.0.0.1",
                there.listener.port,
                client_factory=lambda: self,
                username="n1",
                client_keys=[asked, own],
                agent_path=None,
                known_hosts=None,
                **common_options(),
            )
        )
