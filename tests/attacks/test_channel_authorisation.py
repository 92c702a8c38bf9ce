"""Who may do what at the nodes' channel: every request that the SSH library knows, for everybody.

What there is to be asked for is read from the library: a new kind that is not in the table fails.
"""

import asyncio
import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.channel import SSHClientChannel, SSHServerChannel
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import MSG_REQUEST_SUCCESS
from asyncssh.packet import Boolean, String, UInt32

from common.runtime.ssh import (
    CLUSTER_SUBSYSTEM,
    JOIN_SUBSYSTEM,
    SUBSYSTEM,
    common_options,
)
from tests.attacks.channel_callers import EVERYBODY, LOGGED_IN, SUBSYSTEMS, asking
from tests.attacks.manager_parts import manager
from tests.patience import PATIENCE_S


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
    may = {JOIN_SUBSYSTEM, CLUSTER_SUBSYSTEM} if who == "who joins" else {SUBSYSTEM}
    for own in may:
        (tmp_path / own).mkdir()
        await grants_once(tmp_path / own, who, own, others=SUBSYSTEMS - may)


async def grants_once(tmp_path: Path, who: str, own: str, *, others: set[str]) -> None:
    """Try all requests beside the one that is granted, before it and after it."""
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
        for other in SUBSYSTEMS:
            assert not await is_granted(again._make_request(b"subsystem", String(other))), "a second one"
        for other in others:
            wrong = await channel_of(await EVERYBODY[who](there))
            assert not await is_granted(wrong._make_request(b"subsystem", String(other))), other


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
