"""Dialling: what becomes of the socket."""

import asyncio

import asyncssh

from common.runtime.dial import Advice, Dialler, dial
from common.runtime.ssh import generate_key, load_key
from common.runtime.transport import Peer
from tests.patience import PATIENCE_S


class _Nobody(Peer):
    """Who would read what came."""


async def test_who_gives_up_before_the_login_has_begun_leaves_no_connection_open(monkeypatch):
    reads_options, ended = asyncio.Event(), asyncio.Event()

    async def construct(*_: object, **__: object) -> None:
        reads_options.set()
        await asyncio.Event().wait()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.close()
        ended.set()

    monkeypatch.setattr(asyncssh.SSHClientConnectionOptions, "construct", construct)
    async with (
        asyncio.timeout(PATIENCE_S),
        await asyncio.start_server(accept, "127.0.0.1", 0) as server,
        asyncio.TaskGroup() as group,
    ):
        address = "{}:{}".format(*server.sockets[0].getsockname())
        dialling = group.create_task(
            dial(
                [address],
                Dialler(
                    user="n1",
                    key=load_key(generate_key()),
                    subsystem="any",
                    trusts=lambda _: True,
                    advice=Advice(stranger="", unknown=""),
                    peer=_Nobody(),
                ),
            )
        )
        await reads_options.wait()
        dialling.cancel()
        await ended.wait()
