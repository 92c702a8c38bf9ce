"""Handshakes with a long key: strangers who make many take neither the event loop nor the turns of who comes anew."""

import asyncio
import gc
import socket
import ssl
import sys
import threading
import time
from asyncio import sslproto
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from manager.http import handshakes as subject
from manager.http import turnstile
from manager.http.handshakes import OVERHEAD_S, REFUSED_S, Handshakes, measure
from manager.http.server import HttpsServer, _load
from tests.https import https_server
from tests.integration.http.test_server import ISSUER, client_context, connect, show
from tests.integration.serving import serving
from tests.patience import PATIENCE_S
from tests.pki import DAY_S, make_leaf, make_rsa_key

HELLO = b"\x16\x03\x01\x00\x05hello"


def long_leaf(bits: int = 4096):
    now_s = int(time.time())
    life = {"not_before_s": now_s - DAY_S, "not_after_s": now_s + DAY_S}
    return make_leaf(ISSUER, ["m.example.com"], key=make_rsa_key(bits), **life)


@pytest.fixture
async def server() -> AsyncIterator[HttpsServer]:
    async with serving(https_server(web.Application())) as made:
        await show(made, long_leaf())
        yield made


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_handshake_is_worked_on_in_a_thread(server: HttpsServer, monkeypatch, version):
    threads: list[str] = []
    really = ssl.SSLObject.do_handshake

    def shake(self: ssl.SSLObject) -> None:
        if self.server_side:
            threads.append(threading.current_thread().name)
        really(self)

    monkeypatch.setattr(ssl.SSLObject, "do_handshake", shake)
    (await connect(server, context=client_context(version))).close()
    # the first one finds that nothing has been read yet
    assert threads[1:]
    assert all(name.startswith("handshakes") for name in threads[1:])


async def test_a_client_of_tls_1_2_that_ends_its_session_in_good_order_cannot_resume_it(
    server: HttpsServer, record_property
):
    context, kept = client_context(ssl.TLSVersion.TLSv1_2), 0

    def look(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None, bool]:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as plain,
            context.wrap_socket(plain, session=session) as tls,
        ):
            seen = tls.getpeercert(binary_form=True), tls.session, bool(tls.session_reused)
            # else either end forgets the session
            tls.unwrap().close()
            return seen

    _, session, _ = await asyncio.to_thread(look, None)
    for _ in range(20):
        new = long_leaf(2048)
        await show(server, new)
        shown, again, is_resumed = await asyncio.to_thread(look, session)
        assert (shown, is_resumed) == (new.certificate_der, False)
        session = again
        kept = max(kept, server._contexts.context().session_stats()["number"])
    print(f"of 21 sessions {kept} are kept for the next connection")
    record_property("sessions kept", kept)
    assert kept == 0


@pytest.mark.parametrize("name", [b"\xff" * 60, b"\xe2\x80\xae.test", b"\x1b[2J"])
async def test_a_server_name_that_is_no_text_is_written_nowhere(server: HttpsServer, capfd, name: bytes):
    said: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, said.append
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(hello_for(name))
        async with asyncio.timeout(PATIENCE_S):
            # what it is answered is the server's affair
            await reader.read(1)
        writer.close()
    finally:
        sys.unraisablehook = hook
    assert said == []
    assert "".join(capfd.readouterr()) == ""


def hello_for(name: bytes) -> bytes:
    """Return the first words of a client that asks for a server of this name."""
    incoming, outgoing, placeholder = ssl.MemoryBIO(), ssl.MemoryBIO(), "q" * len(name)
    client = client_context().wrap_bio(incoming, outgoing, server_hostname=placeholder)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read().replace(placeholder.encode(), name)


def test_a_longer_key_costs_more():
    costs = {}
    for bits in (2048, 4096):
        leaf = long_leaf(bits)
        _, costs[bits] = _load(leaf.certificate_pem, leaf.key_pem, "")
    print({bits: f"{1000 * cost:.1f} ms" for bits, cost in costs.items()})
    assert OVERHEAD_S < costs[2048] < costs[4096]


def test_a_context_that_cannot_shake_hands_costs_what_is_assumed():
    assert measure(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) == OVERHEAD_S + subject.UNMEASURED_S


class Crowd:
    """Connections that wait for their turn. Owns both ends of each."""

    def __init__(self) -> None:
        self.shaking = Handshakes()
        self.shaking.cost_s = 0.1
        self.tasks: list[asyncio.Task[None]] = []
        self.begun: list[str] = []
        self.turns: list[subject.HandshakeTurn] = []
        self._ends: list[socket.socket] = []

    def comes(
        self, sent: bytes, source: str, *, is_known: bool = False, stays: bool = False
    ) -> asyncio.Task[None]:
        ours, theirs = socket.socketpair()
        self._ends += [ours, theirs]
        ours.setblocking(False)
        if sent:
            theirs.send(sent)

        async def come() -> None:
            turn = await self.shaking.take_turn(ours, source, is_known=is_known)
            self.begun.append(source)
            self.turns.append(turn)
            if not stays:
                turn.end()

        self.tasks.append(asyncio.get_running_loop().create_task(come()))
        return self.tasks[-1]

    async def until_waiting(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.shaking._strangers.waiting < number:  # noqa: ASYNC110 - nothing tells that one waits
                await asyncio.sleep(0)

    async def until_begun(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.begun) < number:  # noqa: ASYNC110 - nothing tells that one has begun
                await asyncio.sleep(0)

    async def go(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for end in self._ends:
            end.close()
        self.shaking.close()


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    made = Crowd()
    yield made
    await made.go()


async def test_what_says_nothing_or_speaks_no_tls_takes_no_turn_from_who_does(crowd: Crowd, monkeypatch):
    # of time there is only what is there at once
    now_s = time.monotonic()
    monkeypatch.setattr(turnstile, "time", SimpleNamespace(monotonic=lambda: now_s))
    silent = [crowd.comes(b"", "198.51.100.1") for _ in range(100)]
    others = [crowd.comes(sent, "198.51.100.1") for sent in (b"GET / HTTP/1.1\r\n", b"SSH-2.0-x") * 40]
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*others)
        await crowd.comes(HELLO, "198.51.100.1")
    assert not any(task.done() for task in silent)
    assert len(others) * REFUSED_S < crowd.shaking.cost_s


async def test_a_crowd_at_an_address_keeps_none_out_that_comes_anew_there_or_elsewhere(
    crowd: Crowd, monkeypatch
):
    now_s = time.monotonic()
    monkeypatch.setattr(turnstile, "time", SimpleNamespace(monotonic=lambda: now_s))
    for _ in range(100):
        crowd.comes(HELLO, "198.51.100.1")
    await crowd.until_waiting(80)
    async with asyncio.timeout(PATIENCE_S):
        await crowd.comes(HELLO, "203.0.113.1")
    before = crowd.shaking._strangers.waiting
    anew = crowd.comes(HELLO, "198.51.100.1")
    await crowd.until_waiting(before + 1)
    while not anew.done():
        now_s += 1.0
        crowd.shaking._strangers._give_turns()
        await asyncio.sleep(0)
    left = crowd.shaking._strangers.waiting
    print(f"{left} of the crowd wait still")
    assert left > 50


async def test_a_node_and_a_user_overtake_a_crowd_from_many_addresses(crowd: Crowd):
    crowd.shaking.cost_s = 0.0
    for number in range(200):
        crowd.comes(HELLO, f"198.51.100.{number}", stays=True)
    await crowd.until_waiting(200 - subject.AT_ONCE)
    assert len(crowd.turns) == subject.AT_ONCE
    async with asyncio.timeout(PATIENCE_S):
        await crowd.comes(HELLO, "203.0.113.1", is_known=True)
    print(f"{crowd.shaking._strangers.waiting} strangers wait, and the node has had its turn")
    assert crowd.begun.index("203.0.113.1") == subject.AT_ONCE


@pytest.mark.parametrize("which", ["is_known", "is_proxy"])
async def test_who_comes_from_where_nodes_users_or_a_proxy_are_goes_ahead(monkeypatch, which: str):
    went: list[bool] = []
    really = Handshakes.take_turn

    async def take_turn(self: Handshakes, *given: Any, is_known: bool) -> subject.HandshakeTurn:
        went.append(is_known)
        return await really(self, *given, is_known=is_known)

    monkeypatch.setattr(Handshakes, "take_turn", take_turn)
    for known in ("127.0.0.1", "203.0.113.1"):
        async with serving(https_server(web.Application(), **{which: known.__eq__})) as server:
            await show(server, long_leaf(2048))
            (await connect(server)).close()
    assert went == [True, False]


async def test_a_crowd_at_known_addresses_keeps_no_stranger_out(crowd: Crowd):
    crowd.shaking.cost_s = 0.0
    for number in range(100):
        crowd.comes(HELLO, f"203.0.113.{number}", is_known=True, stays=True)
    await crowd.until_begun(subject.AT_ONCE)
    async with asyncio.timeout(PATIENCE_S):
        await crowd.comes(HELLO, "198.51.100.1")


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_connection_that_goes_away_keeps_no_turn(crowd: Crowd, has_begun: bool):
    crowd.shaking.cost_s = 0.0
    going = [crowd.comes(HELLO, "198.51.100.1", stays=True) for _ in range(3 * subject.AT_ONCE)]
    await crowd.until_begun(subject.AT_ONCE)
    if has_begun:
        # its turn comes, and it is gone before it can take it
        crowd.turns[0].end()
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    for turn in crowd.turns:
        turn.end()
    assert crowd.shaking._strangers._at_work == 0


async def test_connections_that_end_while_a_handshake_is_worked_on_leave_nothing_behind(server: HttpsServer):
    for _ in range(50):
        ours = socket.create_connection(("127.0.0.1", server.port))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = client_context().wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        ours.send(outgoing.read())
        # a reset, not an end
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        ours.close()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        while len(server.seats):  # noqa: ASYNC110 - nothing tells that a connection has ended
            await asyncio.sleep(0.01)
    assert server.seats._watched == {}
    shaking = server.seats.handshakes
    assert [each._at_work for each in (shaking._strangers, shaking._regulars)] == [0, 0]
    (await connect(server)).close()


async def test_connections_have_no_buffer_of_their_own_and_none_reads_what_another_was_sent(monkeypatch):
    made: list[subject._Tls] = []
    really = subject._Tls.share

    def share(self: subject._Tls, *common: Any) -> None:
        really(self, *common)
        made.append(self)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(headers={"Received": f"{request.path} {request.headers['Sent']}"})

    monkeypatch.setattr(subject._Tls, "share", share)
    app = web.Application()
    app.router.add_get("/{number}", echo)
    async with serving(https_server(app)) as server:
        await show(server, long_leaf(2048))
        theirs = [await connect(server) for _ in range(8)]
        for number, each in enumerate(theirs):
            await each.send(f"GET /{number} HTTP/1.1\r\nHost: m.example.com\r\n".encode())
        for number, each in reversed(list(enumerate(theirs))):
            await each.send(f"Sent: {number}\r\n\r\n".encode())
        answers = [await each.head() for each in theirs]
        buffers = {id(tls.get_buffer(-1).obj): tls.get_buffer(-1).nbytes for tls in made}
        for each in theirs:
            each.close()
    print(f"{len(made)} connections read into {sum(buffers.values())} bytes")
    for number, answer in enumerate(answers):
        assert f"Received: /{number} {number}\r\n".encode() in answer
    assert len(made) == len(theirs)
    assert len(buffers) == 1


async def test_a_handshake_that_fails_after_its_connection_ended_logs_nothing(monkeypatch):
    loop, logged = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: logged.append(context))
    monkeypatch.setattr(sslproto.SSLProtocol, "connection_lost", lambda *_: None)
    tls = object.__new__(subject._Tls)
    tls._is_away, tls.turn = True, subject.HandshakeTurn(turnstile.Turnstile(subject.SHARES))
    tls.connection_lost(None)
    worked = loop.create_future()
    worked.set_exception(ssl.SSLWantReadError())
    tls._is_back(worked)
    del worked
    gc.collect()
    assert logged == []
