import os
import stat
import threading
from pathlib import Path

import pytest

from common.runtime import durable


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_with_its_mode_whatever_the_umask(tmp_path: Path):
    path = tmp_path / "f"
    old = os.umask(0o077)
    try:
        durable.write_file(path, b"one", mode=0o644)
        durable.write_file(path, b"two", mode=0o640)
    finally:
        os.umask(old)
    assert (path.read_bytes(), mode_of(path)) == (b"two", 0o640)
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_secret_is_never_readable_by_others_not_even_before_its_content(tmp_path: Path, monkeypatch):
    seen = []
    write = os.write

    def watch(descriptor: int, data: bytes) -> int:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watch)
    durable.write_file(tmp_path / "key", b"secret", mode=0o600)
    assert seen == [0o600]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch):
    path = tmp_path / "f"
    durable.write_file(path, b"old", mode=0o600)

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        durable.write_file(path, b"new", mode=0o600)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    durable.write_file(tmp_path / "f", b"0123456789", mode=0o600)
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_a_link_is_never_missing_while_it_is_swapped(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    link = tmp_path / "current"
    durable.publish_link(link, "a")
    failures, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                (link / "f").read_text()
            except OSError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        durable.publish_link(link, "b")
        durable.publish_link(link, "a")
    stop.set()
    reader.join()
    assert failures == []
    assert str(link.readlink()) == "a"


def test_creating_a_file_that_exists_is_refused_and_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("target", "link"):
        with pytest.raises(FileExistsError):
            durable.create_file(tmp_path / name, b"x", mode=0o600)
    assert (tmp_path / "target").read_text() == "kept"


def test_removing_a_tree_does_not_follow_links_and_may_find_nothing(tmp_path: Path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "f").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    durable.remove_tree(tmp_path / "tree")
    durable.remove_tree(tmp_path / "tree")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    durable.remove_tree(tmp_path / "link")
    assert (tmp_path / "kept" / "f").exists()
    assert not (tmp_path / "link").is_symlink()


def test_a_directory_has_its_mode_and_an_existing_one_keeps_its_own(tmp_path: Path):
    old = os.umask(0o077)
    try:
        durable.make_dir(tmp_path / "d", 0o755)
        durable.make_dir(tmp_path / "d", 0o700)
    finally:
        os.umask(old)
    assert mode_of(tmp_path / "d") == 0o755
    (tmp_path / "f").write_text("")
    with pytest.raises(FileExistsError):
        durable.make_dir(tmp_path / "f", 0o700)
