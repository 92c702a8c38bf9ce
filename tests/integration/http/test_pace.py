"""The pace of new connections from one address: strangers are held to it, and whoever proves to be a user is not."""

import ssl

import pytest
from aiohttp import web

from manager.http.middleware import new_application, take_turn
from manager.http.proxies import Proxies
from manager.http.seats import HURRIED
from tests.https import https_server
from tests.integration.http.test_server import connect, made, show
from tests.integration.serving import serving

BURST = 3


async def of_a_user(request: web.Request) -> web.Response:
    await take_turn(request, "admin")
    return web.Response()


async def of_anybody(_request: web.Request) -> web.Response:
    return web.Response()


async def test_connections_on_which_a_user_is_proven_do_not_count_and_all_others_do():
    app = new_application(Proxies(()))
    app.router.add_get("/user", of_a_user)
    app.router.add_get("/anybody", of_anybody)
    server = https_server(app, pace_burst=BURST, pace_per_s=1e-6)
    async with serving(server):
        await show(server, made())
        for _ in range(5 * BURST):
            connection = await connect(server)
            for _ in range(2):
                assert (await connection.get("/user")).startswith(b"HTTP/1.1 200")
            connection.close()
        for _ in range(BURST):
            connection = await connect(server)
            assert (await connection.get("/anybody")).startswith(b"HTTP/1.1 200")
            connection.close()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await connect(server)
        assert server.seats.refused == {HURRIED: 1}
