"""Who may do what at the nodes' channel: every request that the SSH library knows and every message of the wire, for everybody.

What there is to be asked for is read from the library and from the decoder: a new kind that is not in the table fails.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import asyncssh
import pytest
from asyncssh.channel import SSHClientChannel, SSHServerChannel
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import MSG_REQUEST_SUCCESS
from asyncssh.packet import Boolean, String, UInt32

from common.ids import NodeName
from common.runtime.ssh import (
    JOIN_SUBSYSTEM,
    JOIN_USER,
    SUBSYSTEM,
    common_options,
    generate_key,
    load_key,
    public_line,
)
from common.wire.enrolment import EnrolRequest, encode_request
from common.wire.messages import (
    Accepted,
    Goodbye,
    Hello,
    Message,
    Offer,
    Outcome,
    OutcomeAck,
    Payload,
    Progress,
    Rejected,
    Report,
    Tick,
    Tock,
    Want,
    Welcome,
    encode,
    tag_of,
)
from manager.channel.gate import Limits
from tests.attacks.manager_parts import Manager, Raw, ends, manager
from tests.patience import PATIENCE_S

N1 = NodeName("n1")
ID = "0" * 32

# -- who asks

Who = Callable[[Manager], Awaitable[asyncssh.SSHClientConnection]]


async def _nobody(there: Manager) -> asyncssh.SSHClientConnection:
    """A peer that speaks as if it had logged in, and has not."""
    connection = await asyncssh.connect(
        "127.0.0.1",
        there.listener.port,
        client_factory=_NeverLogsIn,
        username="n1",
        client_keys=None,
        agent_path=None,
        known_hosts=None,
        preferred_auth=["publickey"],
        **common_options(),
    )
    return there.keep(connection)


class _NeverLogsIn(asyncssh.SSHClient):
    """Believes itself to be in as soon as it is asked for a key."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    async def public_key_auth_requested(self) -> None:
        self.connection._auth_in_progress, self.connection._auth_complete = False, True
        self.connection._wait = None
        self.connection._waiter.set_result(None)
        await asyncio.Event().wait()


async def _joiner(there: Manager) -> asyncssh.SSHClientConnection:
    return await there.login(JOIN_USER, load_key(generate_key()))


async def _node(there: Manager) -> asyncssh.SSHClientConnection:
    return await there.login("n1", await there.join("n1"))


async def _deleted(there: Manager) -> asyncssh.SSHClientConnection:
    parked = await _node(there)
    await there.remove("n1")
    return parked


async def _joined_again(there: Manager) -> asyncssh.SSHClientConnection:
    parked = await _node(there)
    await there.join("n1")
    return parked


async def _added_again(there: Manager) -> asyncssh.SSHClientConnection:
    parked = await _deleted(there)
    await there.add("n1")
    await there.join("n1")
    return parked


async def _rotated(there: Manager) -> asyncssh.SSHClientConnection:
    old = await there.join("n1")
    parked = await there.login("n1", old)
    await there.rotate("n1", old)
    return parked


EVERYBODY: dict[str, Who] = {
    "nobody": _nobody,
    "who joins": _joiner,
    "a node": _node,
    "a deleted node": _deleted,
    "a node joined again elsewhere": _joined_again,
    "a node deleted and added again": _added_again,
    "a node with another key since": _rotated,
}
LOGGED_IN = {"who joins", "a node"}

# -- what is asked for


def _plain(name: str) -> bytes:
    """Return a request's name as it is on the wire."""
    return name.replace("_at_", "@").replace("_dot_", ".").replace("_", "-").encode()


def _known(owner: type, pattern: str) -> set[str]:
    """Return the names of the requests that a class of the library has a handler for."""
    found = {match[1] for name in dir(owner) if (match := re.fullmatch(pattern, name)) is not None}
    return found - {"channel"}  # the handler of all of them


FORWARD = (String("127.0.0.1"), UInt32(22))
OPENS: dict[str, tuple[bytes, ...]] = {
    "session": (),
    "direct_tcpip": (*FORWARD, *FORWARD),
    "direct_streamlocal_at_openssh_dot_com": (String("/run/x"), String(""), UInt32(0)),
    "tun_at_openssh_dot_com": (UInt32(1), UInt32(0)),
}
GLOBALS: dict[str, tuple[bytes, ...]] = {
    "keepalive_at_openssh_dot_com": (),
    "hostkeys_prove_00_at_openssh_dot_com": (String("a key that is not the host's"),),
    "tcpip_forward": FORWARD,
    "streamlocal_forward_at_openssh_dot_com": (String("/run/x"),),
    # these end the connection, because there is nothing to cancel
    "cancel_tcpip_forward": FORWARD,
    "cancel_streamlocal_forward_at_openssh_dot_com": (String("/run/x"),),
}
WINDOW = (UInt32(80), UInt32(24), UInt32(0), UInt32(0))
REQUESTS: dict[str, tuple[bytes, ...]] = {
    "auth_agent_req_at_openssh_dot_com": (),
    "break": (UInt32(1),),
    "env": (String("PATH"), String("/tmp")),
    "exec": (String("id"),),
    "keepalive_at_openssh_dot_com": (),
    "pty_req": (String("xterm"), *WINDOW, String("")),
    "shell": (),
    "signal": (String("KILL"),),
    "subsystem": (String("sftp"),),
    "window_change": WINDOW,
    "x11_req": (Boolean(True), String("MIT-MAGIC-COOKIE-1"), String("00"), UInt32(0)),
}
ANSWERED = {"keepalive_at_openssh_dot_com"}
"""Says nothing but that the other side is there. All else is refused."""

GRANTED_IN_VAIN = {"window_change", "signal"}
"""The library answers these itself; we count them as refused, and nothing comes of them."""


def test_everything_that_the_library_can_be_asked_for_is_in_the_table():
    assert _known(SSHServerConnection, r"_process_(\w+)_open") == set(OPENS)
    assert _known(SSHServerConnection, r"_process_(\w+)_global_request") == set(GLOBALS)
    assert _known(SSHServerChannel, r"_process_(\w+)_request") == set(REQUESTS)


@asynccontextmanager
async def asking(directory: Path, who: str) -> AsyncIterator[tuple[Manager, asyncssh.SSHClientConnection]]:
    # more patience with refused requests than a manager has: each is asked for on one connection
    async with manager(directory, Limits(refusals=1000)) as there:
        await there.add("n1")
        yield there, await EVERYBODY[who](there)


async def channel_of(
    connection: asyncssh.SSHClientConnection, kind: bytes = b"session", *args: bytes
) -> SSHClientChannel:
    channel = SSHClientChannel(connection, asyncio.get_running_loop(), "strict", None, "strict", 2**15, 2**15)
    # `_open` is what speaks first on a channel; what is above it would add requests of its own
    await channel._open(kind, *args)
    return channel


async def is_granted(asked: Awaitable[Any]) -> bool:
    """Whether something is granted, and not refused or answered by the end of the connection."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return bool(await asked)
        except (asyncssh.Error, OSError):
            return False


@pytest.mark.parametrize("who", EVERYBODY)
async def test_of_channels_a_login_opens_one_session_and_nobody_else_anything(tmp_path: Path, who: str):
    async with asking(tmp_path, who) as (_, connection):
        granted = {
            name
            for name, args in sorted(OPENS.items())
            if await is_granted(channel_of(connection, _plain(name), *args))
        }
        assert granted == ({"session"} if who in LOGGED_IN else set())


@pytest.mark.parametrize("who", EVERYBODY)
async def test_of_global_requests_only_those_that_ask_nothing_are_answered(tmp_path: Path, who: str):
    async def answered(name: str, args: tuple[bytes, ...]) -> bool:
        kind, _ = await connection._make_global_request(_plain(name), *args)
        return kind == MSG_REQUEST_SUCCESS

    async with asking(tmp_path, who) as (_, connection):
        granted = {name for name, args in GLOBALS.items() if await is_granted(answered(name, args))}
        assert granted == (ANSWERED & GLOBALS.keys() if who in LOGGED_IN else set())


async def granted_on(channel: SSHClientChannel) -> set[str]:
    return {
        name
        for name, args in REQUESTS.items()
        if await is_granted(channel._make_request(_plain(name), *args))
    }


@pytest.mark.parametrize("who", sorted(LOGGED_IN))
async def test_of_a_sessions_requests_none_is_granted_but_its_own_subsystem(tmp_path: Path, who: str):
    own, other = (JOIN_SUBSYSTEM, SUBSYSTEM) if who == "who joins" else (SUBSYSTEM, JOIN_SUBSYSTEM)
    async with asking(tmp_path, who) as (there, connection):
        channel = await channel_of(connection)
        assert await granted_on(channel) == GRANTED_IN_VAIN
        refused = there.listener.gate.refused
        assert {"break", "environment", "exec", "signal", "a terminal's size"} <= set(refused)
        assert not await is_granted(channel._make_request(b"subsystem", String(own))), (
            "after another was refused"
        )
        again = await channel_of(await EVERYBODY[who](there))
        assert await is_granted(again._make_request(b"subsystem", String(own)))
        assert await granted_on(again) == GRANTED_IN_VAIN
        assert not await is_granted(again._make_request(b"subsystem", String(own))), "once"
        wrong = await channel_of(await EVERYBODY[who](there))
        assert not await is_granted(wrong._make_request(b"subsystem", String(other)))


@pytest.mark.parametrize("method", sorted(asyncssh.auth._server_auth_handlers))
async def test_no_way_to_log_in_but_by_a_key(tmp_path: Path, method: bytes):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        options = {"client_keys": [key], "password": "x", "preferred_auth": [method.decode()]}
        connecting = asyncssh.connect(
            "127.0.0.1",
            there.listener.port,
            username="n1",
            agent_path=None,
            known_hosts=None,
            **options,
            **common_options(),
        )
        if method == b"publickey":
            there.keep(await connecting)
        else:
            with pytest.raises(asyncssh.PermissionDenied):
                await connecting


# -- what is said

SAID: dict[type, Message] = {
    Hello: Hello(protocol=1, node="n1", boot_id="b", agent_version="0", report=Report()),
    Tick: Tick(report=Report()),
    Want: Want(push_id=ID, digests=[]),
    Accepted: Accepted(push_id=ID, within_s=1),
    Rejected: Rejected(push_id=ID, reason="busy", message=""),
    Progress: Progress(push_id=ID, phase="stage"),
    Outcome: Outcome(
        push_id=ID, epoch=1, generation=1, digest="0" * 64, result="failed", phase="verify", report=Report()
    ),
    Welcome: Welcome(verdict="ok"),
    Offer: Offer(push_id=ID, epoch=1, generation=1, digest="0" * 64),
    Payload: Payload(push_id=ID, digest="0" * 64),
    OutcomeAck: OutcomeAck(push_id=ID),
    Tock: Tock(server_time_s=0.0, epoch=1),
    Goodbye: Goodbye(reason="busy", retry_after_s=0.0),
}
OF_AN_AGENT = {Hello, Tick, Want, Accepted, Rejected, Progress, Outcome}


def test_every_message_of_the_wire_is_in_the_table():
    assert set(get_args(Message)) == set(SAID)
    assert len({tag_of(kind) for kind in SAID}) == len(SAID)


async def lives(there: Manager, channel: Any, session: Raw) -> bool:
    """Whether the manager still answers what an agent says."""
    before = session.heard.count(b"tock")
    with suppress(BrokenPipeError):
        channel.write(encode(SAID[Tick]))
    await there.until(lambda: session.heard.count(b"tock") > before or session.lost.is_set())
    return not session.lost.is_set()


@pytest.mark.parametrize("kind", SAID, ids=tag_of)
async def test_a_message_before_the_greeting_ends_the_connection(tmp_path: Path, kind: type):
    async with asking(tmp_path, "a node") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        channel.write(encode(SAID[kind]))
        if kind is Hello:
            assert await lives(there, channel, session)
        else:
            await ends(connection)
            assert b"welcome" not in session.heard


@pytest.mark.parametrize("kind", SAID, ids=tag_of)
async def test_after_the_greeting_a_node_says_what_an_agent_says_and_nothing_else(tmp_path: Path, kind: type):
    async with asking(tmp_path, "a node") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        channel.write(encode(SAID[Hello]))
        await there.until(lambda: b"welcome" in session.heard)
        channel.write(encode(SAID[kind]))
        assert await lives(there, channel, session) is (kind in OF_AN_AGENT - {Hello})


@pytest.mark.parametrize("kind", SAID, ids=tag_of)
async def test_who_joins_says_no_message_of_the_conversation(tmp_path: Path, kind: type):
    async with asking(tmp_path, "who joins") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=JOIN_SUBSYSTEM, encoding=None)
        channel.write(encode(SAID[kind]))
        await ends(connection)
        assert b"PRIVATE KEY" not in session.heard
        assert there.fleet.node(N1).connected_s is None


async def test_a_node_asks_for_no_join_within_its_conversation(tmp_path: Path):
    async with asking(tmp_path, "a node") as (there, connection):
        keys = await there.store.nodes.keys()
        channel, _ = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        secret = await there.token("n1")
        channel.write(encode_request(EnrolRequest(node="n1", agent_version="0", secret=secret)))
        await ends(connection)
        assert await there.store.nodes.keys() == keys


@pytest.mark.parametrize("who", sorted(EVERYBODY.keys() - LOGGED_IN))
async def test_who_may_not_speak_is_told_nothing_whatever_is_said(tmp_path: Path, who: str):
    async with asking(tmp_path, who) as (there, connection):
        try:
            channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        except (asyncssh.Error, OSError):
            heard = b""
        else:
            for message in SAID.values():
                with suppress(BrokenPipeError):
                    channel.write(encode(message))
            await ends(connection)
            heard = bytes(session.heard)
        assert heard == b""
        assert public_line(load_key(generate_key())) not in await there.store.nodes.keys()
