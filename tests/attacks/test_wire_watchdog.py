"""Nothing that is said at the nodes' channel keeps the manager's event loop for 50 ms.

What there is to be said is read from the messages and from the names of the subsystems: a new one that nobody says here fails.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from asyncssh import SSHKey

from common.bundle.manifest import ENTRY_MAX_BYTES
from common.runtime.ssh import CLUSTER_SUBSYSTEM, JOIN_SUBSYSTEM, JOIN_USER, SUBSYSTEM, generate_key, load_key
from common.wire.enrolment import (
    EnrolDecoder,
    EnrolReply,
    EnrolRequest,
    hash_secret,
    new_secret,
)
from common.wire.frames import HEADER_MAX_BYTES, encode_frame
from common.wire.joining import only_frame
from common.wire.messages import FromAgent, Report, Tick, encode, tag_of
from manager.channel import clustering
from manager.channel.clustering import ManagerReply
from manager.store.manager_tokens import ManagerTokenRecord
from tests.attacks.manager_parts import Manager, Raw, ends, manager, rotation
from tests.attacks.spoken_agent import HELLO, converse
from tests.attacks.test_channel_authorisation import SUBSYSTEMS
from tests.attacks.test_channel_messages import EXAMPLES
from tests.attacks.watchdog import watching
from tests.cluster_parts import request
from tests.fakes.workers import InThread

ROOM = HEADER_MAX_BYTES - 200
TICK = encode(Tick(report=Report()))


def tick(**report: object) -> bytes:
    """Return the frame of a tick whose report says this, whether it may or not."""
    fields = msgspec.to_builtins(Report()) | report
    return encode_frame(msgspec.msgpack.encode({"t": tag_of(Tick), "report": fields}))


HOSTILE = {
    "deep lists": encode_frame(b"\x91" * ROOM),
    "deep maps": encode_frame(b"\x81\xa1a" * (ROOM // 3)),
    "a map that lies": encode_frame(b"\xdf\xff\xff\xff\xff" + b"\xa1a\x01" * (ROOM // 3)),
    "a list that lies": encode_frame(b"\xdd\xff\xff\xff\xff" + b"\x01" * (ROOM // 2)),
    "many names": encode_frame(
        msgspec.msgpack.encode({"t": "tick", **{f"a{number}": 1 for number in range(5000)}})
    ),
    "no text": encode_frame(b"\xda\xff\xff" + b"\xff" * (ROOM - 3)),
    "an unknown message": encode_frame(msgspec.msgpack.encode({"t": "x" * (ROOM - 10)})),
    "a long digest": tick(disk="f" * (ROOM - 300)),
    "many services": tick(serving=[{"consumer": f"c{number}"} for number in range(3000)]),
    "an early moment": tick(clock_s=-1e308),
    "a late moment": tick(clock_s=1e308),
    "a large part": encode_frame(b"\x80", b"x" * ENTRY_MAX_BYTES),
    **{f"many of '{tag_of(kind)}'": encode(EXAMPLES[kind]) * 5000 for kind in get_args(FromAgent)},
    "headers alone": b"\x00\x00\x00\x02\x00\x00" * 20_000,
    "lengths alone": b"\x00\x00\x00\x00" * 20_000,
    "crumbs": TICK * 20,
}


async def attack(there: Manager, key: SSHKey, what: str, *, greets: bool) -> None:
    connection = await there.login("n1", key)
    channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
    if greets:
        channel.write(encode(HELLO))
        await there.until(lambda: b"welcome" in session.received or session.lost.is_set())
    with contextlib.suppress(BrokenPipeError):
        if what == "crumbs":
            for octet in HOSTILE[what]:
                channel.write(bytes([octet]))
                await asyncio.sleep(0)
        else:
            channel.write(HOSTILE[what])
    if what in {"crumbs", "an early moment", "a late moment"}:
        # what is no offence ends nothing
        connection.close()
    await ends(connection)


@pytest.mark.parametrize("greets", [False, True], ids=["at once", "after its greeting"])
@pytest.mark.parametrize("what", HOSTILE)
async def test_no_message_keeps_the_loop(tmp_path: Path, what: str, greets: bool):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        with watching() as watchdog:
            watchdog.doing = what
            await attack(there, key, what, greets=greets)
        print(watchdog.report())
        assert watchdog.too_slow() == []


Reply = EnrolReply | ManagerReply
Questions = list[tuple[SSHKey, bytes, bool]]
"""Who asks, what, and whether it is granted."""


def new_key() -> SSHKey:
    return load_key(generate_key())


async def _of_nodes(there: Manager) -> Questions:
    """Return what nodes ask for: to have another key, and to join."""
    old, new, other = await there.join("n1"), new_key(), new_key()
    token = EnrolRequest(node="n1", agent_version="0", secret=await there.token("n1"), binds=True)
    guess = EnrolRequest(node="n1", agent_version="0", secret="nobody's")
    return [
        (new, only_frame(rotation("n1", old, new)), True),
        (other, only_frame(rotation("n1", other, other)), False),
        (new_key(), only_frame(token), True),
        (new_key(), only_frame(guess), False),
    ]


async def _of_managers(there: Manager) -> Questions:
    """Return what managers ask for: to join."""
    secret, now_s = new_secret(), time.time()
    record = ManagerTokenRecord(secret_hash=hash_secret(secret), expires_s=now_s + 600, tells_database=True)
    await there.store.manager_tokens.add(record, now_s=now_s)
    return [
        (new_key(), only_frame(request(secret)), True),
        (new_key(), only_frame(request("nobody's")), False),
    ]


JOINING: dict[str, tuple[Callable[[Manager], Awaitable[Questions]], Callable[[bytes], Reply | None]]] = {
    JOIN_SUBSYSTEM: (_of_nodes, lambda data: EnrolDecoder().reply(data)),
    CLUSTER_SUBSYSTEM: (_of_managers, lambda data: clustering.ReplyDecoder().take(data)),
}
"""What is asked for at each subsystem of those who join, and how the reply is read."""


async def ask(there: Manager, key: SSHKey, subsystem: str, question: bytes) -> bytes:
    """Ask as who joins, and return what came back until the manager hung up."""
    connection = await there.login(JOIN_USER, key)
    channel, session = await connection.create_session(Raw, subsystem=subsystem, encoding=None)
    with contextlib.suppress(BrokenPipeError):
        channel.write(question)
    await ends(connection)
    return bytes(session.received)


def test_every_subsystem_of_the_channel_is_asked():
    assert {SUBSYSTEM, *JOINING} == SUBSYSTEMS


async def test_an_agent_that_says_everything_keeps_the_loop_with_nothing(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        with watching() as watchdog:
            watchdog.doing = "a conversation"
            agent = await converse(there, key)
        print(watchdog.report())
        assert watchdog.too_slow() == []
        assert agent.said == set(get_args(FromAgent))


@pytest.mark.parametrize("subsystem", JOINING)
async def test_nobody_who_joins_keeps_the_loop(tmp_path: Path, subsystem: str):
    asks, read = JOINING[subsystem]
    # a manager that joins is given a certificate, whose key takes long to make
    async with manager(tmp_path, workers=InThread()) as there:
        await there.add("n1")
        questions = await asks(there)
        with watching() as watchdog:
            for key, question, is_granted in questions:
                watchdog.doing = f"a question that is {'granted' if is_granted else 'refused'}"
                reply = read(await ask(there, key, subsystem, question))
                assert reply is not None
                assert reply.ok is is_granted, reply
        print(watchdog.report())
        assert watchdog.too_slow() == []


@pytest.mark.parametrize("subsystem", JOINING)
async def test_no_stranger_keeps_the_loop(tmp_path: Path, subsystem: str):
    async with manager(tmp_path) as there:
        with watching() as watchdog:
            for what, said in HOSTILE.items():
                watchdog.doing = what
                await ask(there, new_key(), subsystem, said)
        print(watchdog.report())
        assert watchdog.too_slow() == []
