"""Node identity, and the manager that it trusts: one private key and one pin, in `DIR/identity/`.

Owns the two files. Invariant: the key is made on the node, is readable by its owner only, and never leaves it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh
import msgspec

from common.errors import CertcastError, Reason
from common.ids import NodeName, node_name
from common.runtime import durable, trusted
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.contact import Contact
from nodeagent.errors import NotJoinedError
from nodeagent.install.fault import name_fault

DIRECTORY: Final = "identity"
KEY_FILE: Final = "node_key"
CANDIDATE_FILE: Final = "node_key.candidate"
"""The candidate for replacing the key; it exists only until a rotation is known to be complete."""

PIN_FILE: Final = "manager.json"
LOCK_FILE: Final = "manager.lock"
"""The lock for changing the pin: by the agent, which receives addresses, and by a join at the same time."""

FILE_MAX_BYTES: Final = 64 * 1024
"""A key takes half a KiB, a pin with many addresses a few."""


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """The manager as this node knows it: its addresses and host keys (`ssh-ed25519 AAAA...`)."""

    node: str
    addresses: list[str]
    host_keys: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The node's name and key, and the manager's addresses and host keys."""

    node: NodeName
    addresses: tuple[str, ...]
    host_keys: tuple[str, ...]
    key: asyncssh.SSHKey = field(repr=False)

    @property
    def public_line(self) -> str:
        """The public half of the node's key."""
        return public_line(self.key)


def load(data_dir: Path, *, key_file: str = KEY_FILE) -> Identity:
    """Read the identity. Raises NotJoinedError if the node has not joined, CertcastError if a file is damaged."""
    directory = data_dir / DIRECTORY
    try:
        pin = msgspec.json.decode(trusted.read_file(directory / PIN_FILE, FILE_MAX_BYTES), type=Pin)
        key = load_key(trusted.read_own_file(directory / key_file, FILE_MAX_BYTES))
    except FileNotFoundError as error:
        raise NotJoinedError(data_dir) from error
    except OSError as error:
        raise name_fault("the node's identity cannot be read", error) from error
    except msgspec.DecodeError as error:
        raise CertcastError(f"{directory / PIN_FILE} is damaged; join again", reason=Reason.PARSE) from error
    return Identity(
        node=node_name(pin.node), addresses=tuple(pin.addresses), host_keys=tuple(pin.host_keys), key=key
    )


def ensure_key(data_dir: Path) -> asyncssh.SSHKey:
    """Return the node's key, made now if missing. Raises InstallError if the directory cannot be written."""
    directory = data_dir / DIRECTORY
    with _written():
        durable.make_dirs(data_dir, 0o755)
        durable.make_dir(directory, 0o700)
        path = directory / KEY_FILE
        try:
            return load_key(trusted.read_own_file(path, FILE_MAX_BYTES))
        except FileNotFoundError:
            durable.write_file(path, made := generate_key(), mode=0o600)
            return load_key(made)


def make_candidate(data_dir: Path) -> Identity:
    """Make a candidate key, and return the identity with it. Raises InstallError if it cannot be written."""
    with _written():
        durable.write_file(data_dir / DIRECTORY / CANDIDATE_FILE, generate_key(), mode=0o600)
    return load(data_dir, key_file=CANDIDATE_FILE)


def candidate(data_dir: Path) -> Identity | None:
    """Return the identity with the candidate key, None if no rotation is open."""
    try:
        return load(data_dir, key_file=CANDIDATE_FILE)
    except NotJoinedError:
        return None


def commit_candidate(data_dir: Path) -> None:
    """Replace the node's key with the candidate, in one step. Raises InstallError if the disk refuses."""
    # missing: another process that dials or rotates on this node saw it pinned and was first
    with _written(), suppress(FileNotFoundError):
        durable.publish(data_dir / DIRECTORY / CANDIDATE_FILE, data_dir / DIRECTORY / KEY_FILE)


def save_pin(data_dir: Path, pin: Pin) -> None:
    """Store the manager's pin. Raises InstallError if it cannot be written."""
    with _pin_held(data_dir):
        _write_pin(data_dir, pin)


def keep_contact(data_dir: Path, contact: Contact, *, told_to: Identity) -> Identity | None:
    """Store the manager's addresses, and its keys if it announced any; return the stored pin.

    `told_to` is the identity that received the announcement. None if the node has since joined another manager, or
    the same one under another name. Raises InstallError if the pin cannot be written, CertcastError if it is damaged.
    """
    with _pin_held(data_dir):
        now = load(data_dir)
        if (now.node, now.host_keys) != (told_to.node, told_to.host_keys):
            return None
        keys = tuple(contact.host_keys) or now.host_keys
        if (now.addresses, now.host_keys) != (tuple(contact.addresses), keys):
            _write_pin(data_dir, Pin(node=now.node, addresses=contact.addresses, host_keys=list(keys)))
        return load(data_dir)


def _write_pin(data_dir: Path, pin: Pin) -> None:
    data = msgspec.json.format(msgspec.json.encode(pin), indent=2) + b"\n"
    durable.write_file(data_dir / DIRECTORY / PIN_FILE, data, mode=0o644)


@contextmanager
def _pin_held(data_dir: Path) -> Iterator[None]:
    with _written():
        descriptor = durable.open_lock(data_dir / DIRECTORY / LOCK_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise name_fault("the node's identity cannot be written", error) from error
