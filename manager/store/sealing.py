"""Private keys at rest: AES-256-GCM under a key-encryption key (KEK) that is not in the database.

Owns the KEK file: 32 random bytes, or several times 32 while KEKs are rotated; the first seals, all open.
Format of a sealed blob: version byte 1, 8 bytes of KEK id, 12 bytes of nonce, ciphertext with tag. The
row's identity is the associated data, so a blob that was moved to another row does not open.
Invariant: nothing here shows a key; every failure names the KEK's id and the row, never a content.
"""

import errno
import hashlib
import hmac
import os
import secrets
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import ConflictError, NotFoundError, Reason, StorageError
from common.runtime import durable
from common.runtime.regular_file import open_regular
from manager.store.missing import NoKeyError
from manager.store.place import DATABASE_FILE

KEK_BYTES: Final = 32
KEK_FILE: Final = "kek"
KEKS_MAX: Final = 8
"""Live at once; a rotation needs two."""

CREDENTIAL: Final = "certcast-kek"
"""The name under which systemd's LoadCredential= hands over the KEK."""

PRIVATE_KEY: Final = "PRIVATE KEY-----"
"""The end of the first line of every PEM private key; the store keeps nothing unsealed that contains it."""

_DERIVED: Final = b"certcast derived keys 1"
_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD: Final = len(_VERSION) + _ID_BYTES + _NONCE_BYTES


class Keyring:
    """The live KEKs: the first seals, all open. Several are live while they are being rotated."""

    __slots__ = ("_current", "_keys", "_root")

    def __init__(self, *keys: bytes) -> None:
        made = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._keys: Mapping[bytes, AESGCM] = MappingProxyType(made)
        self._root = HKDF(algorithm=SHA256(), length=KEK_BYTES, salt=None, info=_DERIVED).derive(keys[0])

    def __repr__(self) -> str:
        return f"<keyring of {len(self._keys)}>"

    @property
    def ids(self) -> tuple[str, ...]:
        """The keys' ids, the sealing key's first; an id reveals nothing of its key."""
        return tuple(each.hex() for each in self._keys)

    def derive(self, purpose: str) -> bytes:
        """Derive a key for a purpose from the KEK that seals (HKDF, RFC 5869).

        It changes when that KEK is replaced.
        """
        return hmac.digest(self._root, purpose.encode(), "sha256")

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
        if sealed[:1] != _VERSION or len(sealed) < _HEAD + _TAG_BYTES:
            raise StorageError(f"{identity} does not open: what is kept there is not a sealed value")
        key_id, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD]
        key = self._keys.get(key_id)
        if key is None:
            raise StorageError(
                f"{identity} was sealed under key-encryption key {key_id.hex()}, which is not here; "
                "restore the 'kek' file that belongs to this database"
            )
        try:
            return key.decrypt(nonce, sealed[_HEAD:], identity.encode())
        except InvalidTag as error:
            raise StorageError(f"{identity} does not open: the row was altered or moved") from error


def create_kek(directory: Path) -> None:
    """Create a KEK file that only its owner can read.

    Raises ConflictError if one exists: nothing is overwritten.
    """
    path = directory / KEK_FILE
    try:
        durable.create_file(path, secrets.token_bytes(KEK_BYTES), mode=0o600)
        durable.sync_dir(directory)
    except FileExistsError as error:
        raise ConflictError(f"{path} exists; this directory already holds a manager's store") from error
    except OSError as error:
        reason = Reason.NO_SPACE if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
        raise StorageError(f"{path} cannot be written: {error.strerror}", reason=reason) from error


def load_keyring(directory: Path) -> Keyring:
    """Read the KEK from the service manager's credential, otherwise from the file.

    Raises NotFoundError (NoKeyError if there is no store's file either), StorageError (wrong size),
    ConflictError (the file is readable by others).
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).is_file():
        # the service manager is responsible for its mode
        return _read(Path(credentials) / CREDENTIAL, private=False)
    try:
        return _read(directory / KEK_FILE, private=True)
    except FileNotFoundError as error:
        path = directory / KEK_FILE
        if not (directory / DATABASE_FILE).exists():
            raise NoKeyError(directory, path) from error
        raise NotFoundError(
            f"there is no key-encryption key at {path}; restore the 'kek' file that belongs to this store from its backup: nothing else opens it"
        ) from error


def read_kek(directory: Path) -> bytes:
    """Return the file's content, for another manager of the same store. Secret.

    Raises NotFoundError if the key comes as a credential, StorageError, ConflictError.
    """
    try:
        return _read_keys(directory / KEK_FILE, private=True)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no key-encryption key at {directory / KEK_FILE}") from error


def keyring_of(kek: bytes) -> Keyring:
    """Return the keyring of a file's content. Raises ValueError if it is not one."""
    if len(kek) not in range(KEK_BYTES, KEKS_MAX * KEK_BYTES + 1, KEK_BYTES):
        raise ValueError("this is no key-encryption key")
    return Keyring(*(kek[start : start + KEK_BYTES] for start in range(0, len(kek), KEK_BYTES)))


def _read(path: Path, *, private: bool) -> Keyring:
    return keyring_of(_read_keys(path, private=private))


def _read_keys(path: Path, *, private: bool) -> bytes:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and mode & 0o077:
                raise ConflictError(
                    f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {shlex.quote(str(path))}"
                )
            keys = file.read(KEKS_MAX * KEK_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    try:
        keyring_of(keys)
    except ValueError:
        raise StorageError(
            f"{path} is not a key-encryption key: it must have {KEK_BYTES} bytes, or that for each of up to {KEKS_MAX} keys"
        ) from None
    return keys


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"certcast kek id" + key).digest()[:_ID_BYTES]
