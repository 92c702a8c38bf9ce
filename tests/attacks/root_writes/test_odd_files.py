"""Nothing but a regular file is read."""

import contextlib
import os
from pathlib import Path

import pytest

from common.errors import CertcastError
from common.runtime import durable
from nodeagent.app import hold_data_lock
from nodeagent.channel import identity
from nodeagent.install.journalfile import load_journal
from nodeagent.install.lastgood import read_last_good
from nodeagent.install.upkeep import Upkeep
from nodeagent.settings import load_services
from tests.attacks.root_writes.conftest import Node

pytestmark = pytest.mark.timeout(120)


# -- reads


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "socket", "link to a fifo"])
async def test_nothing_but_a_plain_file_is_read_and_nothing_waits_for_the_other_end_of_a_pipe(node, kind):
    state = await node.installed()
    identity.ensure_key(node.data)
    directory = node.data / "generations" / state.file.journal.directory
    readers = {
        node.data / "journal.json": lambda: load_journal(node.data),
        node.data / "services.last-good": lambda: read_last_good(node.data),
        node.data / "agent.lock": lambda: hold_data_lock(node.data).__enter__(),
        node.data / "identity/node_key": lambda: identity.ensure_key(node.data),
        node.data / "identity/manager.json": lambda: identity.load(node.data),
        node.directory / "services.toml": lambda: load_services(node.directory / "services.toml"),
        directory / "manifest.json": lambda: state.tree.manifest(directory.name),
        directory / "server/combined.pem": lambda: state.tree.body(directory.name, "server/combined.pem"),
        node.target: lambda: drift(state),
    }

    async def drift(state):
        with contextlib.suppress(CertcastError):
            await Upkeep(state).turn()

    (node.outside / "fifo").unlink(missing_ok=True)
    os.mkfifo(node.outside / "fifo")
    for path, read in readers.items():
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        make_odd(path, kind, node)
        with contextlib.suppress(CertcastError):
            answer = read()
            answer = await answer if hasattr(answer, "__await__") else answer
            assert answer is None or path == node.data / "agent.lock", path
        remove_odd(path)
        if before is not None:
            path.write_bytes(before)
    (node.outside / "fifo").unlink()
    assert node.is_outside_untouched()


def make_odd(path: Path, kind: str, node: Node) -> None:
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(node.outside / "kept")
        case "link to a fifo":
            path.symlink_to(node.outside / "fifo")
        case "directory":
            path.mkdir()
        case "socket":
            os.mknod(path, 0o140600)


def remove_odd(path: Path) -> None:
    durable.remove_tree(path)
