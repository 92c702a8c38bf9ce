"""What a connection to the nodes' channel took is freed as it ends, and does not wait for a collection of garbage: a flood would pile up what is dead."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncssh
import pytest

from common.runtime.ssh import JOIN_USER
from tests.integration.channel.parts import Channel, channel, raw
from tests.patience import PATIENCE_S

COUNT = 5
TAKEN = ("Visitor", "SocketGuard", "CountedConnection", "Login", "_Session", "SSHServerChannel")


def left() -> Counter[str]:
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in TAKEN)


async def say_nothing(there: Channel) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.listener.port)
    await reader.read(10)
    writer.transport.abort()


async def begin(there: Channel) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", there.listener.port)
    writer.write(b"SSH-2.0-somebody\r\n")
    await reader.read(1000)
    writer.transport.abort()


async def log_in_to_join(there: Channel) -> None:
    connection = await raw(there, there.identity("n9", pinned=False), username=JOIN_USER)
    connection.abort()


async def open_a_session(there: Channel) -> None:
    connection = await raw(there, there.identity("n9", pinned=False), username=JOIN_USER)
    with pytest.raises(asyncssh.Error):
        await connection.open_session()
    connection.abort()


@pytest.mark.parametrize("attack", [say_nothing, begin, log_in_to_join, open_a_session])
async def test_nothing_of_a_connection_that_has_ended_is_left(attack: Callable[[Channel], Awaitable[None]]):
    async with channel() as there:
        await attack(there)
        gc.collect()
        before = left()
        gc.disable()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(attack(there) for _ in range(COUNT)))
                while left() - before:  # noqa: ASYNC110 - looks on
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
