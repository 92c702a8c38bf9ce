import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.runtime import acceptor
from common.runtime.acceptor import REFUSED_PER_TURN, accept_from, has_hung_up, listen, stop_listening
from tests.patience import PATIENCE_S


@asynccontextmanager
async def accepting(admit) -> AsyncIterator[socket.socket]:
    listening = listen("127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(accept_from(listening, admit, per_turn=1))
        try:
            yield listening
        finally:
            running.cancel()
            stop_listening(listening)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_accepting_rests_longer_each_time_that_the_system_lacks_something(
    monkeypatch: pytest.MonkeyPatch, number: int
):
    loop, rests, enough = asyncio.get_running_loop(), [], asyncio.Event()

    async def fails(_listening: socket.socket):
        raise OSError(number, "lacking")

    sleep = asyncio.sleep

    async def rest(delay_s: float) -> None:
        rests.append(delay_s)
        if len(rests) == 7:
            enough.set()
        await sleep(0)

    monkeypatch.setattr(loop, "sock_accept", fails)
    monkeypatch.setattr(acceptor.asyncio, "sleep", rest)
    async with accepting(lambda *_: True), asyncio.timeout(PATIENCE_S):
        await enough.wait()
    assert rests[:7] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("is_let_in", "at_once"), [(False, REFUSED_PER_TURN), (True, 4)])
async def test_others_have_their_turn_while_connections_are_let_in_or_turned_away(
    is_let_in: bool, at_once: int
):
    seen, turns, done = [], [], asyncio.Event()
    count = 10 * at_once

    def admit(accepted: socket.socket, _address: str) -> bool:
        accepted.close()
        seen.append(len(turns))
        if len(seen) == count:
            done.set()
        return is_let_in

    async def other() -> None:
        while not done.is_set():
            turns.append(1)
            await asyncio.sleep(0)

    listening = listen("127.0.0.1", 0)
    knocking = [socket.create_connection(listening.getsockname()) for _ in range(count)]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = group.create_task(accept_from(listening, admit, per_turn=4))
        group.create_task(other())
        await done.wait()
        running.cancel()
    stop_listening(listening)
    for each in knocking:
        each.close()
    assert len(set(seen)) >= count / at_once


async def test_a_port_for_all_addresses_hears_ipv4():
    listening = listen("", 0)
    with socket.create_connection(("127.0.0.1", listening.getsockname()[1])):
        pass
    stop_listening(listening)


async def test_who_hung_up_is_known_although_what_it_said_is_unread():
    listening = listen("127.0.0.1", 0)
    stays, leaves = (socket.create_connection(listening.getsockname()) for _ in range(2))
    async with asyncio.timeout(PATIENCE_S):
        staying, leaving = [(await asyncio.get_running_loop().sock_accept(listening))[0] for _ in range(2)]
    stays.sendall(b"SSH-2.0-x\r\n")
    leaves.sendall(b"SSH-2.0-x\r\n")
    leaves.close()
    async with asyncio.timeout(PATIENCE_S):
        while not has_hung_up(leaving.fileno()):  # noqa: ASYNC110 - the kernel tells when it likes
            await asyncio.sleep(0.001)
    assert not has_hung_up(staying.fileno())
    stop_listening(listening)
    for each in (stays, staying, leaving):
        each.close()


STRANGER, KNOWN = "127.0.0.1", "127.0.0.9"


async def admitted(knocks: list[str], *, per_turn: int, ahead: int) -> list[str]:
    """Return the addresses of these connections, which were all there before the first was let in, in the order in which they were."""
    seen, done = [], asyncio.Event()

    def admit(accepted: socket.socket, address: str) -> bool:
        assert not accepted.getblocking()
        accepted.close()
        seen.append(address)
        if len(seen) == len(knocks):
            done.set()
        return True

    listening = listen("127.0.0.1", 0)
    place = listening.getsockname()
    knocking = [socket.create_connection(place, source_address=(each, 0)) for each in knocks]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = group.create_task(
            accept_from(
                listening, admit, per_turn=per_turn, ahead=ahead, overtakes=lambda address: address == KNOWN
            )
        )
        await done.wait()
        running.cancel()
    stop_listening(listening)
    for each in knocking:
        each.close()
    return seen


async def test_a_known_address_waits_for_none_of_the_strangers_who_came_first():
    seen = await admitted([*[STRANGER] * 300, KNOWN], per_turn=4, ahead=512)
    # what the kernel had before it is taken over in five turns
    assert seen.index(KNOWN) <= 5 * 4


async def test_strangers_have_their_turn_however_many_come_from_a_known_address():
    seen = await admitted([*[KNOWN] * 50, STRANGER], per_turn=4, ahead=512)
    assert seen.index(STRANGER) == 4


async def test_no_more_than_so_many_wait_here_and_the_others_with_the_kernel():
    seen = await admitted([*[STRANGER] * 100, KNOWN], per_turn=4, ahead=20)
    assert 80 <= seen.index(KNOWN) < 100


async def test_whoever_waits_is_cut_off_when_accepting_ends():
    listening, turned = listen("127.0.0.1", 0), asyncio.Event()

    def admit(accepted: socket.socket, _address: str) -> bool:
        accepted.close()
        turned.set()
        return True

    knocking = [socket.create_connection(listening.getsockname()) for _ in range(8)]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = group.create_task(accept_from(listening, admit, per_turn=1))
        await turned.wait()
        running.cancel()
    stop_listening(listening)
    for each in knocking:
        each.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionResetError):
            assert each.recv(1) == b""
        each.close()
