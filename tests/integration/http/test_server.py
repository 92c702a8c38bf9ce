import asyncio
import hashlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from common.errors import InstallError, UnreachableError
from demo.run import trusting
from manager.http import server as subject
from manager.http.server import HttpsServer
from tests.https import https_server
from tests.integration.serving import serving
from tests.patience import PATIENCE_S
from tests.pki import DAY_S, Made, current_ca, current_leaf, make_leaf, make_rsa_key

_, ISSUER = current_ca("Endpoint")
FFDHE = "-----BEGIN DH PARAMETERS-----\nbm8gcGFyYW1ldGVycw==\n-----END DH PARAMETERS-----\n"


def made(name: str = "m.example.com") -> Made:
    return current_leaf(ISSUER, [name])


def fingerprint(leaf: Made) -> str:
    return hashlib.sha256(leaf.certificate_der).hexdigest()


async def show(server: HttpsServer, leaf: Made) -> None:
    await server.use_certificate(
        fullchain_pem=leaf.certificate_pem + ISSUER.certificate_pem,
        private_key_pem=leaf.key_pem,
        parameters_pem="",
    )


def client_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = trusting()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Connection:
    """A client that stays connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def leaf(self) -> str:
        tls = self._writer.get_extra_info("ssl_object")
        return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def get(self, path: str = "/") -> bytes:
        await self.send(f"GET {path} HTTP/1.1\r\nHost: m.example.com\r\n\r\n".encode())
        return await self.head()

    async def head(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    def close(self) -> None:
        self._writer.transport.abort()


async def connect(server: HttpsServer, name: str | None = None, context: ssl.SSLContext | None = None):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=context or client_context(), server_hostname=name or ""
    )
    return Connection(reader, writer)


async def hello(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
async def server() -> AsyncIterator[HttpsServer]:
    app = web.Application()
    app.router.add_get("/", hello)
    running = https_server(app)
    async with serving(running):
        yield running


async def test_before_it_has_a_certificate_it_shows_none(server: HttpsServer):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect(server)


async def test_a_new_certificate_is_shown_without_dropping_who_is_connected(server: HttpsServer):
    old, new = made(), made()
    await show(server, old)
    staying = await connect(server)
    assert (await staying.get()).startswith(b"HTTP/1.1 200")
    await show(server, new)
    assert (await staying.get()).startswith(b"HTTP/1.1 200")
    assert staying.leaf == fingerprint(old)
    for name in (None, "m.example.com", "other.example.com"):
        fresh = await connect(server, name)
        assert fresh.leaf == fingerprint(new), name
        fresh.close()
    staying.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_cannot_resume_a_session_and_so_miss_the_new_certificate(
    server: HttpsServer, version: ssl.TLSVersion
):
    def look(session: ssl.SSLSession | None) -> tuple[str, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, session=session) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: m\r\n\r\n")
            tls.recv(4096)  # tickets come after the handshake
            seen = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest(), tls.session
            # either end forgets a session that did not end in good order
            tls.unwrap().close()
            return seen

    context, new = client_context(version), made()
    await show(server, made())
    _, session = await asyncio.to_thread(look, None)
    await show(server, new)
    seen, _ = await asyncio.to_thread(look, session)
    assert seen == fingerprint(new)


@pytest.mark.parametrize(
    ("fullchain", "key", "parameters"),
    [
        ("nothing", made().key_pem, ""),
        (made().certificate_pem, "nothing", ""),
        (made().certificate_pem, made().key_pem, ""),
        (None, None, FFDHE),
    ],
)
async def test_a_certificate_that_cannot_be_used_leaves_the_old_one(
    server: HttpsServer, fullchain, key, parameters
):
    old, good = made(), made()
    await show(server, old)
    with pytest.raises(InstallError) as caught:
        await server.use_certificate(
            fullchain_pem=fullchain or good.certificate_pem,
            private_key_pem=key or good.key_pem,
            parameters_pem=parameters,
        )
    assert "PRIVATE KEY" not in str(caught.value)
    client = await connect(server)
    assert client.leaf == fingerprint(old)
    client.close()


async def test_an_rsa_certificate_follows_an_elliptic_one(server: HttpsServer):
    now_s = int(time.time())
    rsa = make_leaf(ISSUER, not_before_s=now_s - DAY_S, not_after_s=now_s + DAY_S, key=make_rsa_key())
    await show(server, made())
    await show(server, rsa)
    client = await connect(server)
    assert client.leaf == fingerprint(rsa)
    client.close()


@pytest.mark.parametrize("path", ["/", "/nothing-here"])
async def test_every_answer_says_https_only_and_not_which_software(server: HttpsServer, path: str):
    await show(server, made())
    client = await connect(server)
    said = (await client.get(path)).lower()
    assert b"strict-transport-security: max-age=31536000" in said
    assert b"server: certcast\r\n" in said
    assert b"aiohttp" not in said
    client.close()


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        f"GET /{'a' * 20_000} HTTP/1.1\r\nHost: m\r\n\r\n",
    ],
)
async def test_the_answer_to_what_cannot_be_read_is_marked_as_every_other(server: HttpsServer, head: str):
    await show(server, made())
    client = await connect(server)
    await client.send(head.encode())
    said = (await client.rest()).lower()
    client.close()
    assert b" 400 " in said.partition(b"\r\n")[0]
    assert b"server: certcast\r\n" in said
    assert b"aiohttp" not in said
    for name, value in subject.SECURITY_HEADERS.items():
        assert f"{name}: {value}\r\n".lower().encode() in said


async def test_nothing_older_than_tls_1_2_is_spoken():
    assert subject._server_context().minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost: m"])
async def test_a_request_that_never_comes_whole_is_not_waited_for(head: bytes):
    app = web.Application()
    app.router.add_get("/", hello)
    hurried = https_server(app, request_s=0.3)
    async with serving(hurried):
        await show(hurried, made())
        client = await connect(hurried)
        await client.send(head)
        await client.rest()
        client.close()
        assert hurried.seats.refused == {"no complete request arrived": 1}


async def test_headers_that_trickle_in_after_an_answer_are_not_waited_for_either():
    app = web.Application()
    app.router.add_get("/", hello)
    hurried = https_server(app, idle_s=0.3)
    async with serving(hurried):
        await show(hurried, made())
        client = await connect(hurried)
        assert (await client.get()).startswith(b"HTTP/1.1 200")
        await client.send(b"GET / HTTP/1.1\r\nHost: m")
        await client.rest()
        client.close()


async def test_a_connection_that_begins_no_handshake_is_cut_in_time():
    hurried = https_server(web.Application(), handshake_s=0.3)
    async with serving(hurried):
        await show(hurried, made())
        reader, writer = await asyncio.open_connection("127.0.0.1", hurried.port)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()
        assert len(hurried.seats) == 0


class SlowPage:
    """A page that waits before it answers."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.may_answer.wait()
        return web.Response(text="whole")


async def test_an_idle_connection_goes_for_a_new_one_and_one_that_is_answered_stays():
    slow = SlowPage()
    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/slow", slow.answer)
    crowded = https_server(app, per_source=2)
    async with serving(crowded):
        await show(crowded, made())
        busy, idle = await connect(crowded), await connect(crowded)
        await idle.get()
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
        await slow.asked.wait()
        newcomer = await connect(crowded)
        assert (await newcomer.get()).startswith(b"HTTP/1.1 200")
        await idle.rest()
        slow.may_answer.set()
        assert (await busy.rest()).endswith(b"whole")
        for each in (busy, idle, newcomer):
            each.close()


async def test_what_strangers_send_is_neither_answered_as_ours_nor_logged(
    server: HttpsServer, caplog: pytest.LogCaptureFixture
):
    await show(server, made())
    for said in (
        b"POST / HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x16\x03\x01 secret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: m\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ):
        client = await connect(server)
        await client.send(said)
        assert b" 400 " in (await client.rest()).partition(b"\r\n")[0]
        client.close()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_closing_lets_a_request_under_way_end():
    slow = SlowPage()
    app = web.Application()
    app.router.add_get("/", slow.answer)
    closing = https_server(app)
    async with serving(closing), asyncio.TaskGroup() as group:
        await show(closing, made())
        client = await connect(closing)
        await client.send(b"GET / HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
        await slow.asked.wait()
        group.create_task(closing.close())
        await asyncio.sleep(0)
        slow.may_answer.set()
        assert (await client.rest()).endswith(b"whole")
        client.close()


async def test_a_port_in_use_is_named(server: HttpsServer):
    second = https_server(web.Application(), port=server.port)
    with pytest.raises(UnreachableError) as caught:
        await second.start()
    assert str(server.port) in caught.value.message
