"""What a connection took is freed as it ends, and does not wait for a collection of garbage: a flood of connections would pile up what is dead."""

import asyncio
import gc
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from demo.run import trusting
from manager.http.server import HttpsServer
from tests import pki
from tests.https import https_server
from tests.integration.serving import serving
from tests.patience import PATIENCE_S

COUNT = 20
TAKEN = ("_Tls", "_Watched", "_Requests", "Seat")


async def answer(_request: web.Request) -> web.Response:
    return web.Response()


def left() -> Counter[str]:
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in TAKEN)


async def connect(server: HttpsServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting())


async def hang_up(server: HttpsServer) -> None:
    _, writer = await connect(server)
    writer.transport.abort()


async def ask_and_close(server: HttpsServer) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.transport.abort()


async def say_nothing(server: HttpsServer) -> None:
    reader, writer = await connect(server)
    await reader.read()
    writer.transport.abort()


async def speak_no_tls(server: HttpsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    writer.transport.abort()


async def begin_tls(server: HttpsServer) -> None:
    """Begin a handshake, and say nothing more."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(outgoing.read())
    while await reader.read(4096):
        pass
    writer.transport.abort()


@pytest.mark.parametrize("places", [256, 2], ids=["places for all", "places for two"])
@pytest.mark.parametrize("attack", [hang_up, ask_and_close, say_nothing, speak_no_tls, begin_tls])
async def test_nothing_of_a_connection_that_has_ended_is_left(
    attack: Callable[[HttpsServer], Awaitable[None]], places: int
):
    app = web.Application()
    app.router.add_get("/", answer)
    server = https_server(app, handshake_s=0.3, request_s=0.3, grace_s=0.0, per_source=places)
    made = pki.make_leaf(None)
    async with serving(server):
        await server.use_certificate(
            fullchain_pem=made.certificate_pem, private_key_pem=made.key_pem, parameters_pem=""
        )
        await attack(server)
        gc.collect()
        before = left()
        gc.disable()
        try:
            async with asyncio.timeout(PATIENCE_S):
                # whoever is cut off for another has an error
                await asyncio.gather(*(attack(server) for _ in range(COUNT)), return_exceptions=True)
                while left() - before:  # noqa: ASYNC110 - looks on
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
