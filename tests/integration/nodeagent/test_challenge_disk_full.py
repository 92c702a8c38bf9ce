"""A disk that is really full: challenges that have no room are told, and shown once there is some."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeagent.install.challengefiles import ChallengeFiles
from tests.patience import PATIENCE_S

SIZE_BYTES = 64 * 1024
END_S = 2_000_000_000.0

pytestmark = pytest.mark.services("root", "mount", "umount")


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    """A small filesystem of its own."""
    disk = home / "disk"
    disk.mkdir(mode=0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=0755", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, timeout=PATIENCE_S).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=PATIENCE_S)


def fill(disk: Path) -> Path:
    """Leave nothing free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return filler


@pytest.mark.parametrize("full", ["the web server's", "the agent's"])
def test_what_has_no_room_is_told_and_shown_once_there_is_some(home: Path, disk: Path, full: str):
    directory, data = (
        (disk / "challenges", home / "data") if full == "the web server's" else (home / "challenges", disk)
    )
    files = ChallengeFiles(data, clock=lambda: 1.0)
    wanted = {f"t{number}": (f"t{number}.thumb", END_S) for number in range(3)}
    directory.mkdir(mode=0o755)
    filler = fill(disk)
    faults = files.show(str(directory), wanted)
    assert faults.keys() == wanted.keys()
    assert all("No space left" in each for each in faults.values())
    assert list(directory.iterdir()) == ([filler] if filler.parent == directory else [])
    filler.unlink()
    assert files.show(str(directory), wanted) == {}
    assert {each.name: each.read_text() for each in directory.iterdir()} == {
        token: text for token, (text, _) in wanted.items()
    }
    fill(disk)
    assert files.show(str(directory), {}) == {}
    assert [each.name for each in directory.iterdir()] == []
