"""Codes that programs go by: statuses of certificates, states of chains and nodes, roles, formats, mistakes of configuration.

Decides which there are. Leaves finding them to `manager.pki`, `manager.domain` and the agent, and which of them the API has to
`common.api.codes`. Pure. Invariant: a code never changes its meaning.
"""

from enum import StrEnum
from typing import Literal

Slot = Literal["server", "client"]
"""A node's places for certificates: what it serves, and what it shows to its peers."""

NodeKind = Literal["management", "node"]
HostKeyState = Literal["steady", "announced", "switched"]
KeyChangeKind = Literal["joined", "rejoined", "rotated"]
PushAction = Literal["push", "publish_and_push", "wait", "none"]

Phase = Literal["receive", "preflight", "check", "stage", "switch", "reload", "verify", "commit", "rollback"]
"""How far an installation has come."""

Result = Literal["applied", "rolled_back", "failed"]
"""What came of an installation."""

FailureResult = Literal["rolled_back", "failed", "rejected"]
"""What came of one that failed, or of an offer that was refused before it."""

WaitReason = Literal["window", "interval", "service"]
"""For what a reload waits: its window, the time since the last one, or its service to run."""

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
"""One word a node: `failed` is the last attempt at what is desired; `conflict` waits for an operator; `reload_waiting` is in
sync but for a service that waits for its window, or to be started; `scheduled` is in sync but for a certificate that is not
valid yet."""

Challenge = Literal["http-01", "dns-01", "dns-persist-01"]
"""How a CA is shown that a name is ours: the field's own names (RFC 8555 8, draft-ietf-acme-dns-persist)."""

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
"""How far an order has come; the last three are the end of it."""

RenewalState = Literal["waiting", "ordering", "failing", "stopped", "requested", "paused", "ending"]
"""One word a renewal: `waiting` for its moment; `failing` rests after a failure, and is tried again; `stopped` has an account that was
deactivated; `requested` waits for the answer to a
signing request; `ending` was removed, and its order is being given up."""


class Role(StrEnum):
    """What a user may do: look; push and acknowledge too; everything."""

    READ_ONLY = "read-only"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """What an API token is good for: one of the roles, pushing and watching pushes alone, or all of an administrator's and join tokens."""

    READ_ONLY = "read-only"
    PUSH_ONLY = "push-only"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    PROVISIONING = "provisioning"


class Format(StrEnum):
    """How to write.

    PFX_LEGACY is weak, for old devices only: 3DES and SHA-1 with 2,048 rounds, as OpenSSL 1.x wrote. Whoever gets the file guesses
    its passphrase hundreds of times faster.
    """

    PEM = "pem"
    PFX = "pfx"
    PFX_LEGACY = "pfx_legacy"


class Fault(StrEnum):
    """What is wrong with the audit log.

    An ENTRY does not fit the one before it; the HEAD is missing or was not sealed with this log's key; the END is not where the head
    says; the KEY of the chain is missing or does not open; it was one of these EARLIER, when an entry was written; the log does
    not hold a head that was SHIPPED, so it is an older copy or another log; or the WITNESS is gone, the last head that was kept beside it.
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
    """What became of an audit log's head that was kept elsewhere: FOREIGN was not signed with this log's key."""

    UNASKED = ""
    HELD = "held"
    LOST = "lost"
    FOREIGN = "foreign"


class StatusCode(StrEnum):
    """The specification's statuses, and UNREADABLE for what it does not foresee: a validity that tells no date. Stable for machines."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    TEMPORARY = "temporary"
    WEAK_SIGNATURE = "weak_signature"
    EMPTY_SUBJECT = "empty_subject"
    UNREADABLE = "unreadable"
    GOOD = "good"


class ChainState(StrEnum):
    """How good the best chain is; in the order in which one is preferred to another."""

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
    """By what a list of certificates can be ordered."""

    ID = "id"
    SUBJECT = "subject"
    ISSUER = "issuer"
    EXPIRY = "expiry"
    STATUS = "status"
    NODES = "nodes"


class KeyKind(StrEnum):
    """Keys that the manager makes."""

    RSA2048 = "RSA2048"
    RSA4096 = "RSA4096"
    ECDSAP256 = "ECDSAP256"
    ECDSAP384 = "ECDSAP384"


class ConfigurationCode(StrEnum):
    """Mistakes in a node's own configuration, and the last two in the manager's; stable for machines."""

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
