"""The channel's SSH policy, the same on both sides: algorithms, keys and keepalives.

Keys are parsed once and passed as objects, since asyncssh reads a key given as a path again at every login.
"""

import hashlib
from base64 import b64decode, b64encode
from typing import Any, Final

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger

from common.errors import InvalidInputError

KEX: Final = ("mlkem768x25519-sha256", "curve25519-sha256")
ENCRYPTION: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""With hardware AES a push costs 0.6 of the time with asyncssh's default, chacha20."""

LOGIN_TIMEOUT_S: Final = 15.0
KEEPALIVE_S: Final = 20.0
KEEPALIVE_COUNT: Final = 2
"""A dead peer is found after KEEPALIVE_S x (KEEPALIVE_COUNT + 1): one minute."""

ACCEPTED_KEEPALIVE_S: Final = 30.0
ACCEPTED_KEEPALIVE_COUNT: Final = 1
"""The same for the accepting side. Any packet postpones its keepalive, so usually only the dialling side asks:
keepalives were the largest cost of 10,000 idle nodes for their manager."""

SUBSYSTEM: Final = "certcast"
JOIN_SUBSYSTEM: Final = "certcast-join"
CLUSTER_SUBSYSTEM: Final = "certcast-cluster"
"""The subsystem on which another manager asks to join."""

JOIN_USER: Final = "join"
HOST_KEY_ALGORITHM: Final = "ssh-ed25519"
VOUCHED_ALGORITHM: Final = "ssh-ed25519-cert-v01@openssh.com"
"""The algorithm by which a former host key vouches for the present one (OpenSSH, PROTOCOL.certkeys)."""

SUCCESSION: Final = "host key succession"
"""The id of such a certificate."""

CHANNEL_WINDOW_BYTES: Final = 512 * 1024
PACKET_BYTES: Final = 32 * 1024


SEND: Final = "send_packet"
"""The method by which asyncssh sends each message of a connection."""


def common_options() -> dict[str, Any]:
    """Return the options of both sides for asyncssh. It never reads a configuration file or asks an SSH agent."""
    return {
        "config": None,
        "kex_algs": list(KEX),
        "encryption_algs": list(ENCRYPTION),
        "mac_algs": [],
        "compression_algs": ["none"],
        "signature_algs": ["ssh-ed25519"],
        "login_timeout": LOGIN_TIMEOUT_S,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_COUNT,
    }


def accepting_options() -> dict[str, Any]:
    """Return the accepting side's options for asyncssh."""
    return common_options() | {
        "keepalive_interval": ACCEPTED_KEEPALIVE_S,
        "keepalive_count_max": ACCEPTED_KEEPALIVE_COUNT,
    }


def send_nothing_ignored(connection: asyncssh.SSHClientConnection) -> None:
    """Stop a connection from sending SSH_MSG_IGNORE.

    asyncssh sends one before every other message against an attack on CBC ciphers (RFC 4251 9.3.1), which are not
    offered here. With AES-GCM they protect nothing, and cost both sides as much as the messages themselves.
    """
    send = connection.send_packet

    def send_if_heard(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    # the only way for the dialling side: asyncssh.connect takes no connection class
    setattr(connection, SEND, send_if_heard)


def generate_key() -> bytes:
    """Return a new ed25519 private key in OpenSSH's format. Secret."""
    return bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())


def load_key(data: bytes) -> asyncssh.SSHKey:
    """Parse a private key. Raises InvalidInputError, which quotes none of its content."""
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise InvalidInputError("key", "this is not an OpenSSH private key") from error


def public_line(key: asyncssh.SSHKey) -> str:
    """Return a key's public half as `ssh-ed25519 AAAA...`, without comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def fingerprint(line: str) -> str:
    """Return the fingerprint of a public line as OpenSSH prints it: `SHA256:` and unpadded base64."""
    digest = hashlib.sha256(b64decode(line.split()[1])).digest()
    return "SHA256:" + b64encode(digest).decode().rstrip("=")


def sign(key: asyncssh.SSHKey, statement: bytes) -> bytes:
    """Sign with an ed25519 key."""
    return bytes(key.sign(statement, b"ssh-ed25519"))


def has_signed(line: str, statement: bytes, signature: bytes) -> bool:
    """Whether the key of this public line made this signature."""
    try:
        return bool(asyncssh.import_public_key(line).verify(statement, signature))
    except (asyncssh.KeyImportError, ValueError):
        return False
