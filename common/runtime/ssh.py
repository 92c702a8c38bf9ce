"""The channel's policy, the same on both sides: which algorithms, which keys, how often to ask whether the peer lives.

Keys are parsed once and passed as objects: given as paths, asyncssh reads them again at every login.
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
"""With hardware AES these cost 0.6 of asyncssh's default chacha20 per push."""

LOGIN_TIMEOUT_S: Final = 15.0
KEEPALIVE_S: Final = 20.0
KEEPALIVE_COUNT: Final = 2
"""A dead peer is found after KEEPALIVE_S x (KEEPALIVE_COUNT + 1): one minute."""

ACCEPTED_KEEPALIVE_S: Final = 30.0
ACCEPTED_KEEPALIVE_COUNT: Final = 1
"""The same for who accepted the connection, and as soon: any packet puts it off, so that as a rule only the other side asks. Of what
10,000 idle nodes cost their manager the asking was the most."""

SUBSYSTEM: Final = "certcast"
JOIN_SUBSYSTEM: Final = "certcast-join"
CLUSTER_SUBSYSTEM: Final = "certcast-cluster"
"""On which another manager asks to join the store's managers."""

JOIN_USER: Final = "join"
HOST_KEY_ALGORITHM: Final = "ssh-ed25519"
VOUCHED_ALGORITHM: Final = "ssh-ed25519-cert-v01@openssh.com"
"""By which the manager shows that a former host key vouches for the present one (OpenSSH, PROTOCOL.certkeys)."""

SUCCESSION: Final = "host key succession"
"""The id of such a certificate."""

CHANNEL_WINDOW_BYTES: Final = 512 * 1024
PACKET_BYTES: Final = 32 * 1024


SEND: Final = "send_packet"
"""By which asyncssh sends each message of a connection."""


def common_options() -> dict[str, Any]:
    """Return what both sides pass to asyncssh. No configuration file and no agent is ever consulted."""
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
    """Return what the accepting side passes to asyncssh."""
    return common_options() | {
        "keepalive_interval": ACCEPTED_KEEPALIVE_S,
        "keepalive_count_max": ACCEPTED_KEEPALIVE_COUNT,
    }


def send_nothing_ignored(connection: asyncssh.SSHClientConnection) -> None:
    """Stop a connection from sending messages that its peer is to ignore.

    asyncssh sends one before each other message, against an attack on ciphers in CBC mode (RFC 4251 9.3.1), which are not offered here. With
    AES-GCM they protect nothing, and cost both sides as much as what they precede.
    """
    send = connection.send_packet

    def send_if_heard(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    # who makes the connection has no other way to say it: asyncssh.connect takes no class of one's own
    setattr(connection, SEND, send_if_heard)


def generate_key() -> bytes:
    """Return a new ed25519 private key in OpenSSH's format. Secret."""
    return bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())


def load_key(data: bytes) -> asyncssh.SSHKey:
    """Parse a private key. Raises InvalidInputError without a word of its content."""
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
