"""Handshakes that come byte by byte: each piece costs a turn of the thread that computes handshakes."""

import asyncio
from contextlib import suppress

from aiohttp import web

from manager.http.handshakes import ROUNDS_MAX
from tests.attacks.test_handshakes import hello_for, long_leaf
from tests.https import https_server
from tests.integration.http.test_server import client_context, show
from tests.integration.serving import serving
from tests.patience import PATIENCE_S

PAUSE_S = 0.005
"""Between two pieces, so that they come one by one."""


async def hello_in_pieces(port: int, size: int) -> tuple[int, bytes]:
    """Send a client's first message in pieces of so many bytes; return how many were sent, and the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hello = hello_for(b"m.example.com")
    sent = 0

    async def drip() -> None:
        nonlocal sent
        with suppress(ConnectionError):
            for begin in range(0, len(hello), size):
                writer.write(hello[begin : begin + size])
                await writer.drain()
                sent += 1
                await asyncio.sleep(PAUSE_S)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        dripping = group.create_task(drip())
        try:
            answer = await reader.read(1)
        except ConnectionError:
            # what was sent last was not read any more
            answer = b""
        dripping.cancel()
    writer.transport.abort()
    return sent, answer


async def test_a_handshake_that_comes_byte_by_byte_is_cut_off():
    # nothing else ends it before all has come
    async with serving(https_server(web.Application(), handshake_s=PATIENCE_S)) as server:
        await show(server, long_leaf(2048))
        sent, answer = await hello_in_pieces(server.port, 1)
        print(f"{sent} pieces were sent")
        assert answer == b""
        # those that came while a turn was taken were one
        assert sent > ROUNDS_MAX
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=client_context())
        writer.transport.abort()


async def test_a_handshake_in_a_few_pieces_is_none_of_them():
    async with serving(https_server(web.Application())) as server:
        await show(server, long_leaf(2048))
        _, answer = await hello_in_pieces(server.port, 100)
        assert answer != b""
