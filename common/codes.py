"""Codes for programs: certificate statuses, chain and node states, roles, formats, configuration mistakes.

Decides which codes exist. Leaves applying them to `manager.pki`, `manager.domain` and the agent, and the API's
choice of them to `common.api.codes`. Pure. Invariant: a code never changes its meaning.
"""

from enum import StrEnum
from typing import Literal

Slot = Literal["server", "client"]
"""A node's places for certificates: `server` for its TLS services, `client` for its connections to peers."""

NodeKind = Literal["management", "node"]
HostKeyState = Literal["steady", "announced", "switched"]
KeyChangeKind = Literal["joined", "rejoined", "rotated"]
PushAction = Literal["push", "publish_and_push", "wait", "none"]

Phase = Literal["receive", "preflight", "check", "stage", "switch", "reload", "verify", "commit", "rollback"]
"""The phase of an installation."""

Result = Literal["applied", "rolled_back", "failed"]
"""The result of an installation."""

FailureResult = Literal["rolled_back", "failed", "rejected"]
"""The result of a failed installation, or of an offer that was refused before it."""

WaitReason = Literal["window", "interval", "service"]
"""Why a reload waits: for its window, for its minimum interval, or for its service to run."""

State = Literal[
    "in_sync",
    "pending",
    "installing",
    "failed",
    "drifted",
    "not_serving",
    "reload_waiting",
    "scheduled",
    "offline",
    "conflict",
    "never_joined",
]
"""A node's state in one word. `failed`: the last attempt at the desired content failed. `conflict`: waits for an
operator. `reload_waiting`: in sync except for a service that waits for its window or its start. `scheduled`: in sync
except for a certificate that is not valid yet."""

Challenge = Literal["http-01", "dns-01", "dns-persist-01"]
"""The proofs of control over a name, under their usual names (RFC 8555 8, draft-ietf-acme-dns-persist)."""

OrderStep = Literal[
    "created",
    "ordered",
    "placed",
    "validated",
    "finalised",
    "downloaded",
    "taken_over",
    "served",
    "tested",
    "failed",
]
"""The steps of an order; the last three end it."""

RenewalState = Literal["waiting", "ordering", "failing", "stopped", "requested", "paused", "ending"]
"""A renewal's state in one word. `waiting`: for its time. `failing`: rests after a failure before the next attempt.
`stopped`: its account was deactivated. `requested`: waits for the answer to a signing request. `ending`: removed, and
its order is being abandoned."""


class Role(StrEnum):
    """A user's rights: read; also push and acknowledge; everything."""

    READ_ONLY = "read-only"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """An API token's rights: one of the roles, only pushing and watching pushes, or an administrator's and join tokens."""

    READ_ONLY = "read-only"
    PUSH_ONLY = "push-only"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    PROVISIONING = "provisioning"


class Format(StrEnum):
    """The format of a download.

    PFX_LEGACY is weak and for old devices only: 3DES and SHA-1 with 2,048 rounds, as written by OpenSSL 1.x. Its
    passphrase can be guessed hundreds of times faster.
    """

    PEM = "pem"
    PFX = "pfx"
    PFX_LEGACY = "pfx_legacy"


class Fault(StrEnum):
    """What is wrong with the audit log.

    ENTRY: an entry does not fit the one before it. HEAD: the head is missing or not sealed with this log's key. END: the
    log does not end where the head says. KEY: the key of the chain is missing or cannot be opened. EARLIER: one of these
    was found when an entry was written. SHIPPED: the log lacks a head that was shipped, so it is an older copy or
    another log. WITNESS: the file with the last head, kept beside the log, is gone.
    """

    NONE = ""
    ENTRY = "entry"
    HEAD = "head"
    END = "end"
    KEY = "key"
    EARLIER = "earlier"
    SHIPPED = "shipped"
    WITNESS = "witness"


class Kept(StrEnum):
    """Whether the audit log holds a head that was kept elsewhere. FOREIGN: not signed with this log's key."""

    UNASKED = ""
    HELD = "held"
    LOST = "lost"
    FOREIGN = "foreign"


class StatusCode(StrEnum):
    """The specification's statuses, and UNREADABLE for a validity without a readable date. Stable for machines."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    TEMPORARY = "temporary"
    WEAK_SIGNATURE = "weak_signature"
    EMPTY_SUBJECT = "empty_subject"
    UNREADABLE = "unreadable"
    GOOD = "good"


class ChainState(StrEnum):
    """The quality of the best chain, in order of preference."""

    COMPLETE = "complete"
    WEAK = "weak"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    INVALID = "invalid"
    UNTRUSTED = "untrusted"
    INCOMPLETE = "incomplete"
    UNDETERMINED = "undetermined"
    SELF_SIGNED = "self_signed"


class CertificateOrder(StrEnum):
    """The orders of a list of certificates."""

    ID = "id"
    SUBJECT = "subject"
    ISSUER = "issuer"
    EXPIRY = "expiry"
    STATUS = "status"
    NODES = "nodes"


class KeyKind(StrEnum):
    """The kinds of keys that the manager makes."""

    RSA2048 = "RSA2048"
    RSA4096 = "RSA4096"
    ECDSAP256 = "ECDSAP256"
    ECDSAP384 = "ECDSAP384"


class ConfigurationCode(StrEnum):
    """Mistakes in a node's own configuration, or the manager's (the last two). Stable for machines."""

    SERVICES_INVALID = "services_invalid"
    PROGRAM_MISSING = "program_missing"
    PROGRAM_UNTRUSTED = "program_untrusted"
    UNIT_MISSING = "unit_missing"
    COPY_TARGET = "copy_target"
    IDENTITY = "identity"
    CHALLENGES = "challenges"
    HEALTH_PORT = "health_port"
    SETTINGS_INVALID = "settings_invalid"
    STORE_KEY = "store_key"
