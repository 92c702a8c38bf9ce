"""Which paths a real agent changes, as the kernel saw it, while its manager is hostile and then good."""

import grp
import os
import pwd
import time
from pathlib import Path

import pytest

from common.wire.messages import Outcome, Rejected, Welcome
from tests import pki
from tests.integration.agent_parts import real_bundle
from tests.integration.conversation_parts import Manager
from tests.integration.hostile import APPLIED, ATTACKS, EPOCH
from tests.integration.traced import changed_paths, listening, traced_agent

pytestmark = [pytest.mark.services("strace"), pytest.mark.timeout(120)]

ELSEWHERE = frozenset({"/dev/null"})
"""What may be opened for writing besides the agent's own directory and that of a declared copy."""

HANGS_UP = frozenset({"frame: over the ceiling", "message: a command", "payload: never asked for"})
"""Of the attacks that end a connection these are enough here: each of them is followed by a pause."""

PLANT = """
import pathlib
from nodeagent.install.tree import Tree
switch = Tree.switch
def elsewhere(self, *args):
    pathlib.Path({path!r}).write_text("x")
    return switch(self, *args)
Tree.switch = elsewhere
"""


class Place:
    def __init__(self, directory: Path) -> None:
        self.data, self.copies, self.elsewhere = (
            directory / name for name in ("data", "copies", "elsewhere")
        )
        for made in (self.data, self.copies, self.elsewhere):
            made.mkdir()
        self.trace = directory / "trace"
        self.services = directory / "services.toml"
        self.services.write_text(
            '[[consumer]]\nname = "web"\nreload = ["/bin/true"]\n'
            f'[[consumer.copy]]\nfile = "server/combined.pem"\nto = "{self.copies}/web.pem"\n'
            f'owner = "{pwd.getpwuid(os.geteuid()).pw_name}"\ngroup = "{grp.getgrgid(os.getegid()).gr_name}"\n'
            'mode = "0400"\n'
        )

    def changed_elsewhere(self) -> set[tuple[str, str]]:
        own = (f"{self.data}/", f"{self.copies}/")
        return {
            (call, path)
            for call, path in changed_paths(self.trace.read_text())
            if path not in ELSEWHERE and path != str(self.data) and not path.startswith(own)
        }


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def peer():
    peer = Manager()
    # the agent is a process of its own, and judges by the manager's clock
    peer.clock = time.time
    peer.welcome = Welcome(verdict="ok", epoch=EPOCH, server_time_s=time.time())
    return peer


async def push(peer, generation):
    bundle = real_bundle(pki.current_leaf(None, [f"g{generation}.example.com"]), generation, epoch=EPOCH)
    await peer.until(lambda: peer.sender.ready)
    peer.offer(bundle, f"push-{generation}")
    await peer.until(lambda: f"push-{generation}" in {outcome.push_id for outcome in peer.said(Outcome)})
    assert peer.said(Outcome)[-1].result == "applied"


async def attack(peer):
    refusing = [one for one in ATTACKS if not one.closes]
    for number, one in enumerate(refusing, start=1):
        peer.far.write(one.frames)
        await peer.until(lambda number=number: len(peer.said(Rejected)) == number)
    assert [said.reason for said in peer.said(Rejected)] == [one.reason for one in refusing]
    for one in ATTACKS:
        if one.name in HANGS_UP:
            connections = peer.connections
            peer.far.write(one.frames)
            await peer.until(lambda connections=connections: peer.connections > connections)
            await peer.until(lambda: peer.sender.ready)
    assert peer.connections == 1 + len(HANGS_UP)


async def test_an_agent_changes_nothing_but_its_own_directory_and_declared_copies_whatever_it_is_told(
    place, peer
):
    async with listening(peer, place.data), traced_agent(place.data, place.services, place.trace):
        await peer.until(lambda: peer.connections)
        await push(peer, APPLIED)
        await attack(peer)
        await push(peer, APPLIED + 1)

    assert place.changed_elsewhere() == set()
    own = {call for call, path in changed_paths(place.trace.read_text()) if path not in ELSEWHERE}
    assert {"openat", "mkdirat", "renameat", "symlinkat", "fchmod"} <= own
    assert (place.copies / "web.pem").read_bytes() == (
        place.data / "current/server/combined.pem"
    ).read_bytes()


async def test_a_file_that_an_agent_writes_elsewhere_is_found(place, peer):
    plant = PLANT.format(path=str(place.elsewhere / "x"))
    async with (
        listening(peer, place.data),
        traced_agent(place.data, place.services, place.trace, plant=plant),
    ):
        await peer.until(lambda: peer.connections)
        await push(peer, APPLIED)

    assert place.changed_elsewhere() == {("openat", str(place.elsewhere / "x"))}
