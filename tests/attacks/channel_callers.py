"""Those who ask on the channel, with and without a login."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from common.runtime import ssh
from common.runtime.ssh import (
    JOIN_USER,
    common_options,
    generate_key,
    load_key,
)
from manager.channel.limits import Limits
from tests.attacks.manager_parts import Manager, manager

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


SUBSYSTEMS = {
    word for name, word in vars(ssh).items() if name.endswith("SUBSYSTEM") and isinstance(word, str)
}
"""All that the channel has, from where they are named: a new one is tried without a word here."""


LOGGED_IN = {"who joins", "a node"}


@asynccontextmanager
async def asking(directory: Path, who: str) -> AsyncIterator[tuple[Manager, asyncssh.SSHClientConnection]]:
    # more patience with refused requests than a manager has: each is asked for on one connection
    async with manager(directory, Limits(refusals=1000)) as there:
        await there.add("n1")
        yield there, await EVERYBODY[who](there)
