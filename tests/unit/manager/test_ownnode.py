"""Which management node a manager is: what its directory says, and the first where it says nothing."""

from pathlib import Path

import pytest

from common.errors import StorageError
from common.ids import MANAGEMENT_NODE
from common.runtime import durable
from manager.own_node import NODE_FILE, own_node, write_own_node


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    durable.make_dir(tmp_path / "data", 0o700)
    return tmp_path / "data"


def test_a_directory_that_says_nothing_is_that_of_the_first_manager(directory: Path):
    assert own_node(directory) == MANAGEMENT_NODE


def test_a_directory_says_which_node_its_manager_is(directory: Path):
    write_own_node(directory, "management-2")
    assert own_node(directory) == "management-2"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"management-2\nmanagement-3\n", b"../x\n", b"\xff\n", b"m" * 64, b"m" * 5000]
)
def test_a_damaged_name_stops_the_manager_and_is_never_taken_for_the_first(directory: Path, content: bytes):
    (directory / NODE_FILE).write_bytes(content)
    with pytest.raises(StorageError, match="is damaged"):
        own_node(directory)


def test_a_name_that_others_could_have_written_is_not_read(directory: Path):
    write_own_node(directory, "management-2")
    (directory / NODE_FILE).chmod(0o666)
    with pytest.raises(StorageError, match="cannot be read"):
        own_node(directory)
    (directory / NODE_FILE).unlink()
    (directory / NODE_FILE).symlink_to("/etc/hostname")
    with pytest.raises(StorageError, match="cannot be read"):
        own_node(directory)
