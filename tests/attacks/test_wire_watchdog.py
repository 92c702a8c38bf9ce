"""Nothing that a joined node says keeps the manager's event loop for 50 ms."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
from asyncssh import SSHKey

from common.bundle.manifest import ENTRY_MAX_BYTES
from common.runtime.ssh import SUBSYSTEM
from common.wire.frames import HEADER_MAX_BYTES, encode_frame
from common.wire.messages import Hello, Report, Tick, encode, tag_of
from tests.attacks.manager_parts import Manager, Raw, ends, manager
from tests.attacks.watchdog import watching

ROOM = HEADER_MAX_BYTES - 200
HELLO = encode(Hello(protocol=1, node="n1", boot_id="b", agent_version="0", report=Report()))
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
    "many messages at once": TICK * 5000,
    "headers alone": b"\x00\x00\x00\x02\x00\x00" * 20_000,
    "lengths alone": b"\x00\x00\x00\x00" * 20_000,
    "crumbs": TICK * 20,
}


async def attack(there: Manager, key: SSHKey, what: str, *, greets: bool) -> None:
    connection = await there.login("n1", key)
    channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
    if greets:
        channel.write(HELLO)
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
