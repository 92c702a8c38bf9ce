"""The https port when the service manager binds it."""

import asyncio
import os
import socket

import pytest
from aiohttp import web

from common.errors import UnreachableError
from common.runtime import socket_activation
from common.runtime.socket_activation import activated_socket
from tests.https import https_server
from tests.patience import PATIENCE_S


@pytest.fixture
def given(monkeypatch):
    """A listening socket as the service manager hands it over, after one of another name."""
    bound = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(bound.fileno(), True)
    monkeypatch.setattr(socket_activation, "FIRST_DESCRIPTOR", bound.fileno() - 1)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "other:https")
    address = bound.getsockname()
    return bound.detach(), address


def test_the_socket_of_that_name_is_taken_and_no_child_inherits_it(given):
    descriptor, address = given
    with activated_socket("https") as taken:
        assert (taken.fileno(), taken.getsockname()) == (descriptor, address)
        assert not os.get_inheritable(descriptor)
        assert taken.gettimeout() == 0.0
        assert activated_socket("http") is None


@pytest.mark.parametrize(
    ("name", "value"), [("LISTEN_PID", "1"), ("LISTEN_PID", ""), ("LISTEN_FDNAMES", "other")]
)
def test_what_is_for_another_process_or_has_another_name_is_left_alone(given, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert activated_socket("https") is None
    os.close(given[0])


async def test_the_server_listens_at_the_socket_that_is_handed_over(given):
    _, (host, port) = given
    server = https_server(web.Application(), host=host, port=port)
    await server.start()
    try:
        assert server.port == port
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    finally:
        await server.close()


@pytest.mark.parametrize(("host", "off"), [("127.0.0.1", 1), ("127.0.0.2", 0)])
async def test_a_setting_that_says_another_place_than_the_socket_is_refused_and_both_are_named(
    given, host, off
):
    _, (bound_host, bound_port) = given
    server = https_server(web.Application(), host=host, port=bound_port - off)
    with pytest.raises(UnreachableError) as caught:
        await server.start()
    await server.close()
    assert f"https is set to {host}:{bound_port - off}, but " in caught.value.message
    assert f"socket listens at {bound_host}:{bound_port}; set both to the same" in caught.value.message
