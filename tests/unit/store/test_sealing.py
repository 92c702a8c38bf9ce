import os
import secrets
import traceback

import pytest

from common.errors import ConflictError, NotFoundError, StorageError
from manager.store.missing import NoKeyError
from manager.store.place import DATABASE_FILE
from manager.store.sealing import CREDENTIAL, KEK_BYTES, KEK_FILE, Keyring, create_kek, load_keyring

PLAIN = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
ROW = "certificate:7"


def test_what_was_sealed_opens_for_the_same_row():
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    assert keyring.open(ROW, keyring.seal(ROW, PLAIN)) == PLAIN


def test_the_same_content_is_sealed_differently_each_time():
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    assert keyring.seal(ROW, PLAIN) != keyring.seal(ROW, PLAIN)


def test_a_blob_that_was_moved_to_another_row_does_not_open():
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    with pytest.raises(StorageError, match="certificate:8 does not open"):
        keyring.open("certificate:8", keyring.seal(ROW, PLAIN))


def test_no_byte_of_a_blob_can_be_altered():
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    sealed = keyring.seal(ROW, PLAIN)
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(StorageError):
            keyring.open(ROW, bytes(altered))


def test_a_blob_that_was_cut_or_lengthened_does_not_open():
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    sealed = keyring.seal(ROW, PLAIN)
    for blob in [*(sealed[:length] for length in range(len(sealed))), sealed + b"\0"]:
        with pytest.raises(StorageError):
            keyring.open(ROW, blob)


def test_a_wrong_kek_is_named_and_the_remedy_told():
    sealed = Keyring(secrets.token_bytes(KEK_BYTES)).seal(ROW, PLAIN)
    with pytest.raises(StorageError, match=r"[0-9a-f]{16}, which is not here; restore the 'kek' file"):
        Keyring(secrets.token_bytes(KEK_BYTES)).open(ROW, sealed)


def test_while_keks_rotate_the_first_seals_and_all_open():
    old, new = secrets.token_bytes(KEK_BYTES), secrets.token_bytes(KEK_BYTES)
    sealed_before = Keyring(old).seal(ROW, PLAIN)
    rotating = Keyring(new, old)
    assert rotating.open(ROW, sealed_before) == PLAIN
    assert Keyring(new).open(ROW, rotating.seal(ROW, PLAIN)) == PLAIN


def test_neither_kek_nor_content_shows_in_a_repr_or_an_error():
    key = secrets.token_bytes(KEK_BYTES)
    keyring = Keyring(key)
    with pytest.raises(StorageError) as caught:
        keyring.open("certificate:8", keyring.seal(ROW, PLAIN))
    shown = repr(keyring) + "".join(traceback.format_exception(caught.value))
    assert key.hex() not in shown
    assert repr(key)[2:-1] not in shown
    assert "c2VjcmV0" not in shown


def test_a_kek_file_is_made_for_its_owner_only_and_never_overwritten(tmp_path):
    create_kek(tmp_path)
    before = (tmp_path / KEK_FILE).read_bytes()
    assert len(before) == KEK_BYTES
    assert (tmp_path / KEK_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError, match="exists"):
        create_kek(tmp_path)
    assert (tmp_path / KEK_FILE).read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_kek_that_others_can_read_is_refused_with_the_command_to_run(tmp_path, mode, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    create_kek(tmp_path)
    (tmp_path / KEK_FILE).chmod(mode)
    with pytest.raises(ConflictError, match=f"chmod 600 {tmp_path / KEK_FILE}"):
        load_keyring(tmp_path)


def test_the_service_managers_credential_goes_before_the_file(tmp_path, monkeypatch):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    key = secrets.token_bytes(KEK_BYTES)
    (credentials / CREDENTIAL).write_bytes(key)
    create_kek(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert Keyring(key).open(ROW, load_keyring(tmp_path).seal(ROW, PLAIN)) == PLAIN


def test_without_that_credential_the_file_is_read(tmp_path, monkeypatch):
    create_kek(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nothing"))
    keyring = Keyring((tmp_path / KEK_FILE).read_bytes())
    assert keyring.open(ROW, load_keyring(tmp_path).seal(ROW, PLAIN)) == PLAIN


def test_a_file_of_two_keks_opens_what_either_sealed(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    old, new = secrets.token_bytes(KEK_BYTES), secrets.token_bytes(KEK_BYTES)
    descriptor = os.open(tmp_path / KEK_FILE, os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, new + old)
    os.close(descriptor)
    loaded = load_keyring(tmp_path)
    assert loaded.open(ROW, Keyring(old).seal(ROW, PLAIN)) == PLAIN
    assert Keyring(new).open(ROW, loaded.seal(ROW, PLAIN)) == PLAIN


@pytest.mark.parametrize("size", [0, 1, 31, 33, 63])
def test_a_kek_of_another_size_is_refused(tmp_path, size, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    create_kek(tmp_path)
    (tmp_path / KEK_FILE).write_bytes(b"k" * size)
    with pytest.raises(StorageError, match="must have 32 bytes"):
        load_keyring(tmp_path)


def test_a_missing_kek_is_to_be_restored_where_there_is_a_store(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(NoKeyError, match=f"key at {tmp_path / KEK_FILE}$"):
        load_keyring(tmp_path)
    (tmp_path / DATABASE_FILE).touch()
    with pytest.raises(NotFoundError, match="restore the 'kek' file that belongs to this store"):
        load_keyring(tmp_path)
