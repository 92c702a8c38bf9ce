"""Challenges on a port of the agent's own."""

import asyncio

import pytest

from nodeagent.core.services import ChallengePlace
from nodeagent.install import challenges as module
from tests.integration.nodeagent.challenge_parts import (
    ON_PORT,
    ask,
    bound,
    files,
    get,
    in_files,
    running,
    so,
)


async def test_a_port_answers_what_is_shown_and_nothing_else(home, clock):
    async with running(home, clock, ON_PORT) as agent:
        address = await bound(agent)
        assert await agent.show(1, ["a"]) == {}
        answer = await ask(address, get("a"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        assert answer.endswith(b"\r\n\r\na.thumb")
        for nothing in ("b", "", "../a", "a/", "%61", "../../etc/passwd"):
            assert (await ask(address, get(nothing))).startswith(b"HTTP/1.1 404 ")
        assert (await ask(address, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await ask(address, b"POST / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert files(home) == {}


async def test_a_port_forgets_what_has_expired_and_what_a_newer_set_lacks(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    async with running(home, clock, ON_PORT) as agent:
        address = await bound(agent)
        await agent.show(1, ["a"])
        await agent.show(2, ["b"], for_s=60)
        assert (await ask(address, get("a"))).startswith(b"HTTP/1.1 404 ")
        assert (await ask(address, get("b"))).startswith(b"HTTP/1.1 200 ")
        clock.now_s += 60
        await so(lambda: not agent.shown.held)
        assert (await ask(address, get("b"))).startswith(b"HTTP/1.1 404 ")


async def test_a_port_that_somebody_else_has_is_told_and_had_once_it_is_free(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with running(home, clock, ChallengePlace(listen=("127.0.0.1", port))) as agent:
        assert "cannot be had: Address already in use" in (await agent.show(1, ["a"]))["a"]
        assert "cannot be had" in agent.shown.fault
        taken.close()
        await taken.wait_closed()
        await agent.until(lambda: {} if agent.said[-1] == (1, {}) else None)
        assert agent.shown.fault == ""
        assert (await ask(("127.0.0.1", port), get("a"))).endswith(b"a.thumb")


async def test_a_port_in_place_of_a_directory_leaves_no_file_behind(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"])
        agent.shown.configure(ON_PORT)
        address = await bound(agent)
        await so(lambda: agent.shown.held and not files(home))
        assert (await ask(address, get("a"))).endswith(b"a.thumb")
        agent.shown.configure(in_files(home))
        await so(lambda: files(home))
        with pytest.raises(OSError, match=r".*"):
            await asyncio.open_connection(*address)
