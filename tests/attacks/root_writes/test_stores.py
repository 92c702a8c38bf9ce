"""Root makes no store, and reads no settings, where somebody else could redirect it."""

import os
import subprocess
import sys

import pytest

from common.errors import CertcastError, InvalidInputError
from manager import account
from manager.settings import Settings
from tests.attacks.root_writes.conftest import REPOSITORY, SERVICE
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(120)


# -- the manager, as root by hand


@pytest.mark.services("root")
def test_root_does_not_take_a_link_in_somebody_elses_directory_for_a_store(tmp_path):
    """Whoever owns it would choose whose account root takes on, and where it writes."""
    theirs, store = tmp_path / "theirs", tmp_path / "store"
    theirs.mkdir()
    store.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    (theirs / "data").symlink_to(store)
    os.chown(theirs / "data", SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    for command in (
        "init --name m.test",
        "fingerprint",
        "restored",
        "user list",
        "serve",
        "migrate-store --to sqlite",
        f"backup {tmp_path / 'backup'}",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "manager", *command.split(), "--data", str(theirs / "data")],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 1, command
        assert f"{theirs} belongs to nobody" in done.stderr
    assert not list(store.iterdir())
    assert not (tmp_path / "backup").exists()


@pytest.mark.services("root")
def test_root_makes_no_backup_where_somebody_else_could_redirect_it(tmp_path):
    """Whoever owns the directory could swap what root made in it for a link."""
    theirs, store = tmp_path / "theirs", tmp_path / "store"
    theirs.mkdir()
    store.mkdir(mode=0o700)
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    (theirs / "link").symlink_to(store)
    os.chown(theirs / "link", SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    for place in (theirs / "backup", theirs / "link"):
        with pytest.raises(CertcastError, match=f"{theirs} belongs to nobody"):
            account.make_for_owner(account.real_directory(place), store)
    assert list(theirs.iterdir()) == [theirs / "link"]
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(CertcastError, match="is not root's alone; name a directory that does not exist yet"):
        account.make_for_owner(tmp_path / "open", store)


@pytest.mark.services("root")
def test_a_backup_s_directory_is_its_store_s_owner_s_alone(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, SERVICE.pw_uid, SERVICE.pw_gid)
    account.make_for_owner(tmp_path / "backup", store)
    made = (tmp_path / "backup").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (SERVICE.pw_uid, SERVICE.pw_gid, 0o700)
    account.make_for_owner(tmp_path / "backup", store)


@pytest.mark.services("root")
def test_root_makes_no_store_in_a_directory_of_somebody_else(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    done = subprocess.run(
        [sys.executable, "-m", "manager", "init", "--name", "m.test", "--data", str(theirs / "data")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert f"{theirs} belongs to nobody" in done.stderr
    assert not list(theirs.iterdir())


@pytest.mark.services("root")
def test_the_stores_directory_is_given_to_the_services_account_and_nothing_that_a_link_leads_to(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(account, "ACCOUNT", "nobody")
    victim, place = tmp_path / "victim", tmp_path / "place"
    victim.mkdir()
    place.mkdir()
    account.give_to_account(place / "store")
    assert (place / "store").stat().st_uid == SERVICE.pw_uid
    (place / "store").rmdir()
    (place / "deep").symlink_to(victim)
    with pytest.raises(CertcastError, match="is a link to"):
        account.give_to_account(place / "deep/store")
    assert victim.stat().st_uid == 0
    assert not list(victim.iterdir())


@pytest.mark.services("root")
def test_the_managers_settings_are_not_read_from_a_file_of_somebody_else(tmp_path):
    file = tmp_path / "manager.toml"
    file.write_text(f'data = "{tmp_path}"\n')
    assert Settings.load(config=file).data == tmp_path
    os.chown(file, SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(InvalidInputError, match="belongs to nobody, who could change it"):
        Settings.load(config=file)
