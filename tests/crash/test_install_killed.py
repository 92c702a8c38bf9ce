"""Kill the installer before every single change that it makes to the disk, then start again.

The kill is real: a forked child dies in the call. What a kill cannot show (that data was synced) is not claimed here.
"""

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from common.bundle.verify import verify_bundle
from common.ids import digest_of
from nodeagent.install.installer import Installer
from nodeagent.install.state import say_nothing
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)

CHANGES = (
    "open",
    "write",
    "fchmod",
    "fchown",
    "fsync",
    "replace",
    "rename",
    "symlink",
    "mkdir",
    "chmod",
    "chown",
)
CHANGES += ("unlink", "rmdir")
KILLED = 9

OLD = real_bundle(pki.make_leaf(ROOT, ["old.example.com"]), 1)
NEW = real_bundle(pki.make_leaf(ROOT, ["new.example.com"]), 2)


class Node:
    """A data directory and a service that, when reloaded, takes what is live; it counts its reloads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.loaded = directory / "loaded.pem"
        self.services = services(consumer(directory / "reload"))
        script(
            directory / "reload",
            f"cp {self.data}/current/server/certificate.pem {self.loaded} && echo x >>{directory}/count",
        )

    @property
    def reloads(self) -> int:
        return len((self.directory / "count").read_text().split())

    async def start(self):
        state = await open_node(self.data, self.services)
        await Installer(state).resume(say=say_nothing)
        await Upkeep(state).turn()
        return state

    def check_whole(self) -> None:
        """Whatever a service reads now is one generation, whose key pairs with its leaf."""
        live = self.data / "current"
        bundle = {path: digest_of((live / path).read_bytes()) for path in NEW.manifest.by_path()}
        known = [{path: entry.digest for path, entry in one.manifest.by_path().items()} for one in (OLD, NEW)]
        assert bundle in known
        which = (OLD, NEW)[known.index(bundle)]
        payloads = {digest: (live / path).read_bytes() for path, digest in bundle.items()}
        verify_bundle(which.manifest, payloads, applied=None, now_s=pki.NOW_S)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A node that runs the old bundle."""
    node = Node(tmp_path_factory.mktemp("installed"))

    async def lay():
        state = await node.start()
        assert (await install(state, OLD)).result == "applied"

    asyncio.run(lay())
    return node


@pytest.fixture
def fresh(installed, tmp_path):
    """Makes copies of that node."""

    def copy(number: int) -> Node:
        directory = tmp_path / str(number)
        shutil.copytree(installed.directory, directory, symlinks=True)
        return Node(directory)

    return copy


def strike_at(number: int, strike) -> list[int]:
    """Let the change with this number (from 0) be struck instead of done; returns the running count."""
    count = [0]

    def struck(real):
        def call(*args, **kwargs):
            is_reading = real is real_open and not args[1] & os.O_CREAT
            if not is_reading:
                count[0] += 1
                if count[0] == number + 1:
                    strike()
            return real(*args, **kwargs)

        return call

    real_open = os.open
    for name in CHANGES:
        setattr(os, name, struck(getattr(os, name)))
    return count


def in_child(node: Node, number: int, strike, *, bundle=NEW, fails: bool = False) -> int:
    """Install in a forked child in which one change is struck; returns how the child ended (0: it was not)."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            if fails:
                script(
                    node.directory / "reload",
                    f"[ -e {node.directory}/failed ] || {{ touch {node.directory}/failed; exit 1; }}",
                )

            async def run():
                state = await open_node(node.data, node.services)
                count = strike_at(number, strike)
                await install(state, bundle)
                return 0 if count[0] <= number else 1

            status = asyncio.run(run())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill() -> None:
    os._exit(KILLED)


def refuse(code: int):
    def raise_it() -> None:
        raise OSError(code, os.strerror(code))

    return raise_it


def converge(node: Node) -> None:
    """Start again, and install again as the manager would: the node must end on the new bundle."""

    async def run():
        state = await node.start()
        node.check_whole()
        assert state.file.journal.attempt is None
        applied = state.holdings.applied()
        assert applied is not None
        assert node.loaded.read_text() == (node.data / "current/server/certificate.pem").read_text()
        if applied != NEW.manifest:
            assert applied == OLD.manifest
            assert (await install(state, NEW)).result == "applied"
        reloads = node.reloads
        state = await node.start()
        assert state.holdings.applied() == NEW.manifest
        assert state.holdings.is_disk_right()
        assert node.reloads == reloads
        assert not list((node.data / ".staging").iterdir())
        assert not list(node.data.glob(".*.tmp"))

    asyncio.run(run())
    node.check_whole()
    assert (
        node.loaded.read_text()
        == NEW.payloads[NEW.manifest.by_path()["server/certificate.pem"].digest].decode()
    )


def sweep(fresh, strike, *, ended: int, fails: bool = False) -> int:
    """Strike each change in turn until an installation gets through unharmed; returns how many there were."""
    number = 0
    while True:
        node = fresh(number)
        status = in_child(node, number, strike, fails=fails)
        Node(node.directory)  # writes the working reload again
        if status == 0:
            return number
        assert status == ended
        node.check_whole()
        converge(node)
        shutil.rmtree(node.directory)
        number += 1


def test_a_kill_at_any_step_leaves_old_or_new_whole_and_converges(fresh):
    assert sweep(fresh, kill, ended=KILLED) > 60


def test_a_kill_at_any_step_of_a_rollback_leaves_old_or_new_whole_and_converges(fresh):
    assert sweep(fresh, kill, ended=KILLED, fails=True) > 70


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_error_at_any_step_leaves_old_or_new_whole_and_converges(fresh, code):
    assert sweep(fresh, refuse(code), ended=1) > 60
