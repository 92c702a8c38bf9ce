"""A node whose directories an attacker shares with root."""

import os
import pwd
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from nodeagent.core.services import Copy
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

SERVICE = pwd.getpwnam("nobody")
LEAVES = [pki.make_leaf(ROOT, [f"{name}.example.com"]) for name in ("one", "two")]
MEMORY = Path("/dev/shm")
REPOSITORY = Path(__file__).parents[3]


class Node:
    """A node whose one service has a copy below `srv`, and a directory of root's that an attacker wants to write to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data, self.outside = directory / "data", directory / "outside"
        self.home = directory / "srv"
        self.place = self.home / "tls"
        self.place.mkdir(parents=True)
        self.outside.mkdir(mode=0o700)
        (self.outside / "kept").write_text("kept")
        self.target = self.place / "service.pem"
        self.copy = Copy(
            path="server/combined.pem",
            to=str(self.target),
            uid=os.geteuid(),
            gid=os.getegid(),
            mode=0o400,
        )
        self.count = directory / "count"
        reload = script(directory / "reload", f"echo x >>{self.count}")
        self.services = services(replace(consumer(reload), copies=(self.copy,)))

    async def open(self):
        return await open_node(self.data, self.services)

    async def installed(self):
        state = await self.open()
        assert (await install(state, real_bundle(LEAVES[0], 1))).result == "applied"
        return state

    def redirect(self, place: Path) -> None:
        """What a service can do in a directory of its own: put a link in the place of what is in it."""
        place.rename(place.with_name(f"{place.name}.away"))
        place.symlink_to(self.outside)

    def is_outside_untouched(self) -> bool:
        return [path.name for path in self.outside.iterdir()] == ["kept"] and (
            self.outside / "kept"
        ).read_text() == "kept"


@pytest.fixture
def node():
    """In memory, where a disk that others load does not slow a race down."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Node(Path(directory))


@pytest.fixture
def say(capsys):
    """Print what was measured."""

    def print_it(measured: str) -> None:
        with capsys.disabled():
            print(f"\n  {measured}")

    return print_it
