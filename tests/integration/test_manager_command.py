"""`certcast-manager` on a machine's own store: where it is started, and as whom."""

import os
import pwd
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.unit.runtime.test_command import shell, without_override

OWNER = pwd.getpwnam("nobody")


def test_a_store_is_made_from_a_directory_that_cannot_be_read(tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    done = shell(
        f"chmod 0 . && exec {without_override()} certcast-manager init --data {tmp_path / 'store'} --name m.test",
        cwd=place,
    )
    assert done.returncode == 0, done.stderr
    shown = shell(f"certcast-manager fingerprint --data {tmp_path / 'store'}")
    assert (shown.returncode, len(shown.stdout.strip())) == (0, 64)


def test_a_store_is_made_beside_where_the_command_is_called_whatever_the_umask(tmp_path: Path):
    done = shell("umask 0; certcast-manager init --data store --name m.test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    modes = {path.stat().st_mode & 0o777 for path in [tmp_path / "store", tmp_path / "store/kek"]}
    assert modes == {0o700, 0o600}


def test_a_store_beside_a_deleted_directory_is_refused_with_the_reason(tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    done = shell("rmdir ../place; certcast-manager init --data store", cwd=place)
    assert done.returncode == 1
    assert done.stderr == (
        "certcast-manager: --data: store starts from the working directory, which was deleted\n"
    )


def test_a_store_is_not_made_among_other_files(tmp_path: Path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/notes.txt").write_text("mine")
    done = shell("certcast-manager init --data store --name m.test", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'store'} is not empty: it has 'notes.txt'" in done.stderr
    assert [each.name for each in (tmp_path / "store").iterdir()] == ["notes.txt"]


def test_what_an_interrupted_init_left_and_a_filesystems_own_directory_are_no_other_files(tmp_path: Path):
    for name in (".new", "lost+found"):
        (tmp_path / "store" / name).mkdir(parents=True)
    done = shell("certcast-manager init --data store --name m.test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["init", "user list", "serve"])
def test_a_file_in_place_of_a_store_is_said_to_be_one(tmp_path: Path, command: str):
    (tmp_path / "store").write_text("")
    done = shell(f"certcast-manager {command} --data store", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'store'} is not a directory" in done.stderr


def run_on(data: Path, command: str) -> subprocess.CompletedProcess[str]:
    return shell(f"certcast-manager {command} --data {shlex.quote(str(data))}")


def test_whoever_lost_the_key_of_a_store_is_told_to_restore_it_and_not_to_make_another(tmp_path: Path):
    data = tmp_path / "a store"
    assert run_on(data, "init --name m.test").returncode == 0
    kek = (data / "kek").read_bytes()
    (data / "kek").unlink()
    for command in ("user list", "serve"):
        done = run_on(data, command)
        assert done.returncode == 1
        assert done.stderr == (
            f"certcast-manager: there is no key-encryption key at {data / 'kek'}; "
            "restore the 'kek' file that belongs to this store from its backup: nothing else opens it\n"
        )
    (data / "kek").write_bytes(kek)
    (data / "kek").chmod(0o600)
    assert run_on(data, "user list").returncode == 0


def test_what_is_named_to_whom_has_no_store_makes_one_as_it_stands(tmp_path: Path):
    data = tmp_path / "it's a store"
    done = run_on(data, "user list")
    assert done.returncode == 1
    assert (
        f"there is no key-encryption key at {data / 'kek'}; if the store is in a database, restore"
        in done.stderr
    )
    command = done.stderr.rpartition("to make a new store, run: ")[2]
    assert shell(f"{command.strip()} --name m.test").returncode == 0
    (data / "certcast.db").unlink()
    done = run_on(data, "user list")
    assert done.stderr == (
        f"certcast-manager: there is no store at {data / 'certcast.db'}; "
        f"to make one, run: certcast-manager init --data {shlex.quote(str(data))}\n"
    )
    assert shell(f"{done.stderr.rpartition('run: ')[2].strip()} --name m.test").returncode == 0


def as_root_on(data: Path, code: str) -> subprocess.CompletedProcess[str]:
    code = f"from pathlib import Path\nfrom manager import account\ndata = Path({str(data)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


@pytest.mark.services("root")
def test_root_becomes_the_owner_of_a_store_before_it_touches_it():
    with tempfile.TemporaryDirectory(prefix="store") as data:  # pytest's own are root's alone
        os.chown(data, OWNER.pw_uid, OWNER.pw_gid)
        # this test's interpreter may stand where only root can read; that is the next test
        done = as_root_on(
            Path(data),
            "import os\naccount.NEEDED = ()\naccount.become_owner(data)\n"
            "print(os.getresuid(), os.getresgid(), os.getgroups())",
        )
    uid, gid = OWNER.pw_uid, OWNER.pw_gid
    assert done.stdout == f"{(uid,) * 3} {(gid,) * 3} {[gid]}\n", done.stderr


@pytest.mark.services("root")
def test_an_owner_who_cannot_read_the_program_is_named_before_anything_is_touched(tmp_path: Path):
    (tmp_path / "hidden").write_text("")
    (tmp_path / "hidden").chmod(0o600)
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, OWNER.pw_uid, OWNER.pw_gid)
    done = as_root_on(
        store, f"account.NEEDED = (Path({str(tmp_path / 'hidden')!r}),)\naccount.become_owner(data)"
    )
    assert f"belongs to nobody, who cannot read {tmp_path / 'hidden'}" in done.stderr
    assert not list(store.iterdir())


@pytest.mark.services("root")
def test_root_does_not_serve_the_store_of_another_account(tmp_path: Path):
    os.chown(tmp_path, OWNER.pw_uid, OWNER.pw_gid)
    done = shell(f"certcast-manager serve --data {tmp_path}")
    assert done.returncode == 1
    assert "belongs to nobody, so root does not serve it" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.services("root")
def test_who_is_neither_root_nor_the_owner_is_told_whose_store_it_is():
    with tempfile.TemporaryDirectory(prefix="store") as data:
        os.chown(data, OWNER.pw_uid, OWNER.pw_gid)
        done = as_root_on(Path(data), "import os\nos.setuid(12345)\naccount.become_owner(data)")
    assert "belongs to nobody, and this is user 12345: run it as root or as nobody" in done.stderr


@pytest.mark.services("root", "unshare")
@pytest.mark.parametrize(
    "command",
    ["user list", "fingerprint", "restored", "init", "serve", "migrate-store --to sqlite", "backup backup"],
)
def test_a_store_on_a_read_only_filesystem_is_said_to_be_there(tmp_path: Path, command: str):
    (tmp_path / "store").mkdir()
    done = shell(
        "unshare --mount bash -c 'mount --bind store store && mount -o remount,ro,bind store store && "
        f"certcast-manager {command} --data store'",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr == f"certcast-manager: {tmp_path / 'store'} is on a filesystem that is read-only\n"
