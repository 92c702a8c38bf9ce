"""The address of a database is taken from where nobody else can read it, and its password is never shown."""

import grp
import os
import pwd
import tempfile
import traceback
from pathlib import Path

import pytest

from common.errors import ConflictError, InvalidInputError
from manager.account import ACCOUNT
from manager.database_setting import DATABASE_CREDENTIAL, TOLD_FILE
from manager.settings import Settings, database_removal
from manager.store.place import StorePlace
from tests.patience import exit_code

PASSWORD = "a-secret-of-the-database"
URL = f"postgresql://certcast:{PASSWORD}@db.example.com/certcast"
OTHER = "postgresql:///certcast?host=/run/postgresql"
STRANGER = pwd.getpwnam("nobody")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "manager.toml"
    path.touch(mode=0o600)
    return path


def hand_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    (tmp_path / DATABASE_CREDENTIAL).write_bytes(text)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))


def refusal(config: Path | None = None) -> str:
    with pytest.raises(InvalidInputError) as refused:
        Settings.load(config=config)
    whole = "".join(traceback.format_exception(refused.value))
    assert PASSWORD not in whole
    assert PASSWORD[:8] not in refused.value.message
    return refused.value.message


def test_without_the_setting_the_store_is_a_file(tmp_path):
    settings = Settings.load(data=tmp_path)
    assert (settings.database, settings.place) == (None, StorePlace(tmp_path, None))


def test_the_address_is_taken_from_the_file_or_the_variable_or_the_credential_the_last_first(
    file, tmp_path, monkeypatch
):
    file.write_text(f'database = "{URL}"\n')
    names = [Settings.load(config=file).database.name]
    monkeypatch.setenv("CERTCAST_MANAGER_DATABASE", URL.replace("/certcast", "/by-variable"))
    names.append(Settings.load(config=file).database.name)
    hand_over(tmp_path, monkeypatch, URL.replace("/certcast", "/by-credential").encode() + b"\n")
    settings = Settings.load(config=file)
    names.append(settings.database.name)
    assert names == ["certcast", "by-variable", "by-credential"]
    assert settings.place == StorePlace(settings.data, settings.database)
    assert settings.database.password == PASSWORD


def test_the_password_is_in_no_text_of_the_settings(file):
    file.write_text(f'database = "{URL}"\n')
    settings = Settings.load(config=file)
    assert [text for text in (repr(settings), str(settings), str(settings.place)) if PASSWORD in text] == []


@pytest.mark.parametrize(
    "wrong",
    [
        f"mysql://certcast:{PASSWORD}@db.example.com/certcast",
        f"postgresql://certcast:{PASSWORD}@db.example.com",
        f"postgresql://certcast:{PASSWORD}@db.example.com/certcast?sslmode=prefer",
        f"postgresql://certcast:{PASSWORD}#@db.example.com/certcast",
        PASSWORD,
    ],
)
def test_an_address_that_is_refused_is_named_by_where_it_was_said_without_its_password(
    file, tmp_path, monkeypatch, wrong
):
    file.write_text(f'database = "{wrong}"\n')
    assert refusal(file).startswith(f"{file}: database: ")
    monkeypatch.setenv("CERTCAST_MANAGER_DATABASE", wrong)
    assert refusal().startswith("CERTCAST_MANAGER_DATABASE: ")
    hand_over(tmp_path, monkeypatch, wrong.encode())
    assert refusal().startswith("the credential certcast-database: ")


def test_what_is_no_text_is_refused(file, monkeypatch):
    file.write_text("database = 5\n")
    assert refusal(file) == f"{file}: database: must be text in quotes"
    monkeypatch.setenv("CERTCAST_MANAGER_DATABASE", "5")
    assert "must begin with postgresql://" in refusal()


def test_a_credential_that_cannot_be_read_is_an_error_and_not_no_credential(tmp_path, monkeypatch):
    hand_over(tmp_path, monkeypatch, b"\xff\xfe")
    assert refusal() == f"{tmp_path / DATABASE_CREDENTIAL} is not UTF-8"
    (tmp_path / DATABASE_CREDENTIAL).unlink()
    (tmp_path / DATABASE_CREDENTIAL).mkdir()
    assert refusal() == f"{tmp_path / DATABASE_CREDENTIAL} cannot be read: it is not a regular file"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o607])
def test_a_file_with_a_password_that_others_can_read_is_refused_with_what_to_run(file, mode):
    file.write_text(f'database = "{URL}"\n')
    file.chmod(mode)
    if mode & 0o002:
        assert "can be written by everybody" in refusal(file)
        return
    assert refusal(file) == (
        f"{file} has the database's password in it and can be read by others (mode {mode:04o}); "
        f"run: chown root:certcast {file} && chmod 640 {file}"
    )


def test_a_file_without_a_password_may_be_read_by_everybody(file):
    file.write_text(f'database = "{OTHER}"\n')
    file.chmod(0o644)
    assert Settings.load(config=file).database.name == "certcast"


@pytest.mark.services("root")
def test_a_file_that_this_account_cannot_read_is_named():
    with tempfile.TemporaryDirectory(prefix="settings") as made:  # pytest's own are root's alone
        directory = Path(made)
        directory.chmod(0o755)
        (directory / "manager.toml").write_text(f'database = "{URL}"\n')
        (directory / "manager.toml").chmod(0o600)
        pid = os.fork()
        if pid == 0:
            os.setresuid(STRANGER.pw_uid, STRANGER.pw_uid, STRANGER.pw_uid)
            said = refusal(directory / "manager.toml")
            os._exit(0 if said == f"{directory / 'manager.toml'} cannot be read: Permission denied" else 1)
        assert exit_code(pid) == 0


@pytest.mark.services("root")
def test_the_group_of_the_account_that_serves_may_read_a_password_and_no_other_group(
    file, tmp_path, monkeypatch
):
    store = tmp_path / "store"
    store.mkdir()
    file.write_text(f'data = "{store}"\ndatabase = "{URL}"\n')
    file.chmod(0o640)
    os.chown(file, 0, STRANGER.pw_gid)
    assert "can be read by others (mode 0640)" in refusal(file)
    os.chown(store, STRANGER.pw_uid, STRANGER.pw_gid)
    assert Settings.load(config=file).database.password == PASSWORD
    os.chown(store, 0, 0)
    monkeypatch.setattr("manager.settings.ACCOUNT", grp.getgrgid(STRANGER.pw_gid).gr_name)
    assert Settings.load(config=file).database.password == PASSWORD
    assert ACCOUNT == "certcast"


def test_how_the_setting_is_taken_away_is_told_for_the_place_that_it_comes_from(file, tmp_path, monkeypatch):
    assert database_removal(file, tmp_path) == f"remove 'database' from {file}"
    assert database_removal(None, tmp_path) == "remove 'database' from /etc/certcast/manager.toml"
    tell(tmp_path)
    assert database_removal(file, tmp_path) == (
        f"remove {tmp_path / TOLD_FILE}, and 'database' from {file} if it is there"
    )
    monkeypatch.setenv("CERTCAST_MANAGER_DATABASE", URL)
    assert (
        database_removal(file, tmp_path)
        == "remove the variable CERTCAST_MANAGER_DATABASE, here and from the unit"
    )
    hand_over(tmp_path, monkeypatch, URL.encode())
    assert database_removal(file, tmp_path) == (
        f"remove the credential {DATABASE_CREDENTIAL} from the unit (systemctl edit certcast-manager)"
    )


# -- the address that a manager was told when it joined another one


def tell(data, content: str = f"{URL}\n", mode: int = 0o600):
    path = data / TOLD_FILE
    path.write_text(content)
    path.chmod(mode)
    return path


def test_an_address_that_the_manager_was_told_is_taken_where_nothing_else_names_one(file, tmp_path):
    tell(tmp_path)
    assert Settings.load(data=tmp_path).database.password == PASSWORD
    file.write_text(f'data = "{tmp_path}"\n')
    assert Settings.load(config=file).database.password == PASSWORD
    file.write_text('database = "postgresql://other@localhost/other"\n')
    assert Settings.load(config=file, data=tmp_path).database.name == "other"
    assert Settings.load(data=tmp_path / "elsewhere").database is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_an_address_that_was_told_and_that_others_can_read_is_refused(tmp_path, mode):
    path = tell(tmp_path, mode=mode)
    with pytest.raises(ConflictError, match=f"run: chmod 600 {path}"):
        Settings.load(data=tmp_path)


@pytest.mark.parametrize(
    "content", ["", "mysql://u:s3cret@h/n", "postgresql://u:s3cret@h#/n", "s3cret " * 900]
)
def test_what_was_told_and_is_no_address_is_named_without_a_word_of_it(tmp_path, content):
    path = tell(tmp_path, content)
    with pytest.raises(InvalidInputError) as refused:
        Settings.load(data=tmp_path)
    assert refused.value.message.startswith(f"{path}: ")
    assert "s3cret" not in refused.value.message


def test_no_link_is_followed_to_what_was_told(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / TOLD_FILE).symlink_to(tell(tmp_path))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        Settings.load(data=tmp_path / "data")
