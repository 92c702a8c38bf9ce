"""Private keys at rest: AES-256-GCM under a key-encryption key (KEK) that is not in the database.

Owns the KEK file. Format of a sealed blob: version byte 1, 8 bytes of KEK id, 12 bytes of nonce, ciphertext with tag. The
row's identity is the associated data, so a blob that was moved to another row does not open.
Invariant: nothing here shows a key; every failure names the KEK's id and the row, never a content.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import ConflictError, NotFoundError, StorageError
from common.runtime import durable

KEK_BYTES: Final = 32
KEK_FILE: Final = "kek"
CREDENTIAL: Final = "certcast-kek"
"""The name under which systemd's LoadCredential= hands over the KEK."""

_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD: Final = len(_VERSION) + _ID_BYTES + _NONCE_BYTES


class Keyring:
    """The live KEKs: the first seals, all open. Several are live while they are being rotated."""

    __slots__ = ("_current", "_keys")

    def __init__(self, *keys: bytes) -> None:
        made = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._keys: Mapping[bytes, AESGCM] = MappingProxyType(made)

    def __repr__(self) -> str:
        return f"<keyring of {len(self._keys)}>"

    def seal(self, identity: str, plain: bytes) -> bytes:
        """Encrypt for the row named by `identity`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (
            _VERSION
            + self._current
            + nonce
            + self._keys[self._current].encrypt(nonce, plain, identity.encode())
        )

    def open(self, identity: str, sealed: bytes) -> bytes:
        """Decrypt. Raises StorageError if the KEK is unknown, or blob and row do not belong together."""
        key_id, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD]
        key = self._keys.get(key_id)
        if sealed[:1] != _VERSION or key is None:
            raise StorageError(
                f"{identity} was sealed under key-encryption key {key_id.hex()}, which is not here; "
                "restore the 'kek' file that belongs to this database"
            )
        try:
            return key.decrypt(nonce, sealed[_HEAD:], identity.encode())
        except InvalidTag as error:
            raise StorageError(f"{identity} does not open: the row was altered or moved") from error


def create_kek(directory: Path) -> None:
    """Make a KEK file, readable by its owner only. Raises ConflictError if there is one: nothing is overwritten."""
    path = directory / KEK_FILE
    try:
        durable.create_file(path, secrets.token_bytes(KEK_BYTES), mode=0o600)
        durable.sync_dir(directory)
    except FileExistsError as error:
        raise ConflictError(f"{path} exists; this directory already holds a manager's store") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


def load_keyring(directory: Path) -> Keyring:
    """Read the KEK from the service manager's credential, else from the file.

    Raises NotFoundError, StorageError (wrong size), or ConflictError if others can read the file.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).is_file():
        return Keyring(_read(Path(credentials) / CREDENTIAL))
    path = directory / KEK_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no key-encryption key at {path}; 'certcast-manager init --data {directory}' makes a new store"
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConflictError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
    return Keyring(_read(path))


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if len(key) != KEK_BYTES:
        raise StorageError(f"{path} has {len(key)} bytes; a key-encryption key has {KEK_BYTES}")
    return key


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"certcast kek id" + key).digest()[:_ID_BYTES]
