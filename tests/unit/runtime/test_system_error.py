"""Words for errors of connections, as real libraries raise them."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from common.errors import UnreachableError
from common.runtime.acceptor import listen
from common.runtime.handshake import lax_context, see_served
from common.runtime.system_error import NONE_ANSWERS, words_of
from tests.patience import PATIENCE_S


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as was:
        return int(was.getsockname()[1])


async def test_a_refused_connection_is_told_by_the_system_and_not_by_asyncio():
    port = closed_port()
    with pytest.raises(OSError, match="Connect call failed") as caught:
        await asyncio.open_connection("127.0.0.1", port)
    assert words_of(caught.value) == "Connection refused"
    with pytest.raises(UnreachableError) as seen:
        await see_served("127.0.0.1", port, context=lax_context(), server_name=None, timeout_s=PATIENCE_S)
    assert seen.value.message == f"127.0.0.1:{port}: Connection refused"


async def test_who_speaks_no_tls_is_told_without_a_line_of_openssls_source():
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com\r\n" * 3)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError) as seen:
            await see_served("127.0.0.1", port, context=lax_context(), server_name=None, timeout_s=PATIENCE_S)
    assert seen.value.message == f"127.0.0.1:{port}: TLS failed: wrong version number"


def test_an_address_that_is_taken_is_named_by_whoever_wanted_it_alone():
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(OSError) as caught:
        listen("127.0.0.1", held.getsockname()[1])
    assert caught.value.strerror == "Address already in use"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 5, 0, 0)"), NONE_ANSWERS),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, ""), "TLS failed"),
    ],
)
def test_what_has_no_number_of_the_system_is_said_all_the_same(error: OSError, words: str):
    assert words_of(error) == words
