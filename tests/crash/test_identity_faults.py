"""Inject a fault at every system call by which a node joins and replaces its key: one of its keys always opens the manager.

The manager here is a file: it pins a key, answers, and forgets nothing, as the real one does over the real channel in
`tests/integration/channel/test_rotation.py`.
"""

import asyncio
import shutil
import signal
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

from common.errors import AccessError, InstallError, NotFoundError, Reason
from common.ids import NodeName
from common.runtime.ssh import fingerprint, generate_key, has_signed, load_key, public_line
from common.wire.enrolment import EnrolReply, EnrolRequest, JoinToken, encode_token, rotation_statement
from nodeagent.channel import identity, join, rotation
from tests.crash import syscalls
from tests.crash.scenarios import PLANTS
from tests.crash.sweep import ERRORS, ON_WRITES, SHARE_S, Point, Share, Tally, check_injected
from tests.crash.syscalls import Kill

pytestmark = [pytest.mark.services("x86-64"), pytest.mark.timeout(2 * SHARE_S)]

HOST: Final = public_line(load_key(generate_key()))
TOKEN: Final = encode_token(
    JoinToken(
        node="n1", addresses=["m:1"], fingerprint=fingerprint(HOST), secret="s", expires_s=time.time() + 3600
    )
)


class Node:
    """Faults are injected into what changes `data`; beside it the manager keeps the key that it has pinned."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data, self.pinned = directory, directory / "data", directory / "pinned"

    @contextmanager
    def manager(self) -> Iterator[None]:
        with (
            mock.patch.object(join, "ask", self._ask),
            mock.patch.object(rotation, "ask", self._ask),
            mock.patch.object(rotation, "connect", self._connect),
        ):
            yield

    async def _ask(self, _addresses: object, *, key, trusts, request: EnrolRequest) -> EnrolReply:
        assert trusts(HOST)
        pinned, line = self.pinned.read_text(), public_line(key)
        if request.proof:
            is_right = pinned == line or has_signed(
                pinned, rotation_statement(NodeName("n1"), line), request.proof
            )
        else:
            is_right = pinned in {"", line}  # a token can be used again by the key that used it
        if not is_right:
            return EnrolReply(ok=False, reason="token_used")
        self.pinned.write_text(line)
        return EnrolReply(ok=True, host_keys=[HOST], epoch=1)

    async def _connect(self, me: identity.Identity, *, peer: object, order: object) -> str:
        if me.public_line != self.pinned.read_text():
            raise AccessError("unknown key", reason=Reason.FORBIDDEN)
        return me.public_line

    async def join(self) -> None:
        await join.join(TOKEN, self.data, agent_version="0")

    async def rotate(self) -> None:
        await rotation.rotate(self.data, agent_version="0")

    async def dial(self) -> None:
        """The manager is reached by one of the two keys."""
        assert await rotation.connect_as(self.data, peer=mock.Mock()) == self.pinned.read_text()

    async def check(self) -> None:
        """After whatever happened: join if that is not done, dial, and replace the key once more."""
        for path in (self.data / "identity").glob("node_key*"):
            load_key(path.read_bytes())
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        try:
            identity.load(self.data)
        except NotFoundError:
            await self.join()
        await self.dial()
        await self.rotate()
        await self.dial()
        assert identity.load(self.data).public_line == self.pinned.read_text()
        assert identity.candidate(self.data) is None


Act = Callable[[Node], Awaitable[None]]


async def joins(node: Node) -> None:
    await node.join()


async def rotates(node: Node) -> None:
    await node.rotate()


async def dials_with_what_a_cut_rotation_left(node: Node) -> None:
    await node.dial()


async def lay(act: Act, node: Node) -> None:
    """Bring a node to where the act begins."""
    node.pinned.write_text("")
    if act is joins:
        return
    await node.join()
    if act is dials_with_what_a_cut_rotation_left:
        cut = mock.patch.object(identity, "commit_candidate", side_effect=InstallError("cut"))
        with cut, pytest.raises(InstallError):
            await node.rotate()


def made(act: Act, directory: Path) -> Node:
    directory.mkdir()
    node = Node(directory)
    with node.manager():
        asyncio.run(lay(act, node))
    return node


def work(act: Act, node: Node, say: Callable[[str], None]) -> None:
    """Carry the act out in a child; an error of the disk is reported by name, and does not keep the node from the manager."""

    async def run() -> None:
        try:
            await act(node)
        except InstallError as error:
            say(f"refused {error.reason}")
        if node.pinned.read_text() and (node.data / "identity/manager.json").exists():
            await node.dial()

    with node.manager():
        asyncio.run(run())


ACTS: Final = (joins, rotates, dials_with_what_a_cut_rotation_left)
FAULTS: Final = {"kill": Kill, **ERRORS}


def points(act: Act, directory: Path, fault: str) -> list[Point]:
    node = made(act, directory)
    ran = syscalls.run(node.data, partial(work, act, node))
    assert (ran.status, ran.messages) == (0, [])
    return [one for one in enumerate(ran.calls) if fault not in ON_WRITES or one[1].name == "write"]


def try_share(fault: str, directory: Path, share: Share, *, plant: str = "") -> Tally:
    """Inject a fault at each call of each act."""
    tally = Tally()
    for act in ACTS:
        with PLANTS[plant]():
            chosen = points(act, directory / act.__name__, fault)
        for number, call in share.of(chosen):
            tally.tried[act.__name__] += 1
            node = made(act, directory / "node")
            try:
                with PLANTS[plant]():
                    inject_at(act, node, (number, call), fault)
            except Exception as error:  # noqa: BLE001 - whatever it is, this point was not survived
                tally.losses.append(f"{act.__name__} at {number}, {call.name} of {call.path}: {error!r}")
            shutil.rmtree(node.directory)
    return tally


def inject_at(act: Act, node: Node, point: Point, fault: str) -> None:
    number, call = point
    ran = syscalls.run(node.data, partial(work, act, node), at=number, fault=FAULTS[fault]())
    check_injected(ran, call, status=-signal.SIGKILL if fault == "kill" else 0)
    if fault == "ENOSPC":
        assert set(ran.messages) <= {f"refused {Reason.NO_SPACE}"}
    with node.manager():
        asyncio.run(node.check())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_node_with_a_fault_while_it_joins_or_replaces_its_key_reaches_its_manager(fault, sweeper, say):
    started_s = time.monotonic()
    tally = sweeper.spread(partial(try_share, fault))
    say(f"joining and key rotation, {fault}: {tally}", started_s)
    assert tally.losses == []
    assert tally.tried.keys() >= {joins.__name__, rotates.__name__}
    assert tally.tried.total() >= (3 if fault in ON_WRITES else 20)


def test_the_sweep_finds_keys_that_are_written_in_place(sweeper):
    losses = sweeper.spread(partial(try_share, "kill", plant="journal in place")).losses
    assert any("not an OpenSSH private key" in loss for loss in losses)
    assert any("manager.json is damaged" in loss for loss in losses)
