"""A disk that is really full: the installation is refused as such, nothing is lost, and with space again the next succeeds."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import BundleError, Reason
from nodeagent.install.installer import Installer
from nodeagent.install.state import NodeState, ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests.crash.node import NEW, NEXT, OLD, Node
from tests.integration.agent_parts import command, install
from tests.patience import PATIENCE_S

SIZE_BYTES = 1024 * 1024
PAGE_BYTES = 4096

pytestmark = pytest.mark.services("root", "mount", "umount")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node whose data has a small filesystem of its own, and runs the first generation."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, timeout=PATIENCE_S).returncode:
        pytest.skip("no tmpfs can be mounted here")
    (tmp_path / "count").touch()
    node = Node(tmp_path, disk / "data")
    try:
        with node.service():
            yield node
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=PATIENCE_S)


def fill(node: Node, *, pages_left: int) -> Path:
    """Leave so many pages of the disk free."""
    filler = node.data.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE_BYTES))
        except OSError:
            pass
        file.truncate(file.tell() - pages_left * PAGE_BYTES)
    return filler


async def test_an_installation_on_a_full_disk_is_refused_and_the_next_succeeds_when_there_is_space(node):
    state = await node.open()
    await node.install_next(state, OLD)
    filler = fill(node, pages_left=0)
    with pytest.raises(BundleError) as caught:
        await install(state, NEW)
    assert caught.value.reason is Reason.NO_SPACE
    assert node.shown() is OLD

    filler.unlink()
    await check_made_up_for(node, state)


@pytest.mark.parametrize("pages_left", range(9))
async def test_a_disk_that_fills_while_an_installation_runs_loses_nothing_and_the_next_succeeds(
    node, pages_left
):
    state = await node.open()
    await node.install_next(state, OLD)
    fillers = []
    outcome = await Installer(state).install(
        command(NEW),
        accepted=lambda _within_s: fillers.append(fill(node, pages_left=pages_left)),
        progress=ignore_progress,
    )
    assert (outcome.result, outcome.reason) in {("failed", Reason.NO_SPACE), ("applied", "")}
    assert node.shown() is (NEW if outcome.result == "applied" else OLD)
    assert pages_left or outcome.result == "failed"

    fillers[0].unlink()
    await check_made_up_for(node, state)


async def check_made_up_for(node: Node, state: NodeState) -> None:
    """There is space again: what is shown is what is known, and another generation goes in and stays."""
    await Upkeep(state).turn()
    applied = await node.check_rest(state)
    assert applied == node.shown().manifest
    await node.install_next(state, NEXT)
    assert await node.check_rest(await node.start()) == NEXT.manifest
