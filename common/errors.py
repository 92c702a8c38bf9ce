"""The error tree: every failure that crosses a boundary carries a stable, machine-readable reason.

Decides which reasons exist. Leaves the reaction to the caller. An error never logs itself and never contains a
secret.
"""

import math
from enum import StrEnum


class Reason(StrEnum):
    """Stable codes, the same in the protocol, the API, logs and metrics. Never renamed, only added."""

    STALE_GENERATION = "stale_generation"
    EPOCH_CONFLICT = "epoch_conflict"
    BAD_DIGEST = "bad_digest"
    BAD_FRAME = "bad_frame"
    BAD_MESSAGE = "bad_message"
    WRONG_NODE = "wrong_node"
    TOO_BIG = "too_big"
    PARSE = "parse"
    KEY_MISMATCH = "key_mismatch"
    CHAIN_INCOMPLETE = "chain_incomplete"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    EMPTY_BUNDLE = "empty_bundle"
    SHRINK_GUARD = "shrink_guard"
    NO_SPACE = "no_space"
    PERMISSION = "permission"
    TARGET_MISSING = "target_missing"
    CROSS_DEVICE = "cross_device"
    SWITCH_FAILED = "switch_failed"
    RELOAD_FAILED = "reload_failed"
    RELOAD_TIMEOUT = "reload_timeout"
    VERIFY_UNREACHABLE = "verify_unreachable"
    VERIFY_MISMATCH = "verify_mismatch"
    VERIFY_TIMEOUT = "verify_timeout"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    NO_PREVIOUS = "no_previous"
    QUARANTINED = "quarantined"
    CLOCK_SKEW = "clock_skew"
    BUSY = "busy"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"
    SERVICES_INVALID = "services_invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    IDENTITY_CONFLICT = "identity_conflict"
    CONFIRMATION_NEEDED = "confirmation_needed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    PASSWORD_REQUIRED = "password_required"  # noqa: S105 - a reason code, not a secret
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - a reason code, not a secret
    TOKEN_USED = "token_used"  # noqa: S105 - a reason code, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a reason code, not a secret
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STORAGE = "storage"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL = "internal"


class Hint(StrEnum):
    """Where to find help for a failure. Each front end words it as a command, a link or a path. Stable for machines."""

    LIST_NODES = "list_nodes"
    LIST_CERTIFICATES = "list_certificates"
    LIST_TRUSTED_CAS = "list_trusted_cas"
    LIST_CSRS = "list_requests"  # as the API's path says
    LIST_ALARMS = "list_alarms"
    LIST_USERS = "list_users"
    LIST_CLIENTS = "list_clients"


class CertcastError(Exception):
    """The base of all our errors.

    Attributes:
        reason: the stable code.
        message: one sentence for people, which says what to do next where that is known.
        hint: further help for a front end to word, None for nothing.
    """

    reason: Reason = Reason.INTERNAL
    hint: Hint | None = None

    def __init__(self, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class ProtocolError(CertcastError):
    """The peer broke the protocol; the connection cannot continue."""

    reason = Reason.BAD_MESSAGE


class BundleError(CertcastError):
    """A bundle that must not be installed (digest, pairing, shape)."""

    reason = Reason.BAD_DIGEST


class PkiError(CertcastError):
    """A supposed certificate, key or parameter cannot be used.

    Its place is a file name, a block number (from 1), and the first (from 1) and last line; each None if unknown.
    """

    reason = Reason.PARSE

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        file: str | None = None,
        block: int | None = None,
        line: int | None = None,
        until: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.file = file
        self.block = block
        self.line = line
        self.until = until


class InvalidInputError(CertcastError):
    """A field of a request has an invalid value. `field` is its name ("" for the whole request)."""

    reason = Reason.INVALID

    def __init__(self, field: str, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message, reason=reason)
        self.field = field

    def __reduce__(self) -> tuple[type["InvalidInputError"], tuple[str, str], dict[str, object]]:
        """Support pickling from a worker process: the default would pass the message as the field."""
        return type(self), (self.field, self.message), self.__dict__


class OverloadedError(CertcastError):
    """There are too many requests, from the sender (`own`) or in total. `retry_after_s` is when to ask again."""

    reason = Reason.BUSY

    def __init__(self, message: str, *, retry_after_s: float, own: bool) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.own = own


class NotFoundError(CertcastError):
    """The named object does not exist; `hint` names the list of existing ones."""

    reason = Reason.NOT_FOUND

    def __init__(self, message: str, *, hint: Hint | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConflictError(CertcastError):
    """The request contradicts what is stored (a name in use, an object that changed meanwhile)."""

    reason = Reason.CONFLICT


class ChangedMeanwhileError(ConflictError):
    """The object has changed since the caller began this change."""


class AccessError(CertcastError):
    """The caller is unknown (UNAUTHENTICATED) or may not do this (FORBIDDEN)."""

    reason = Reason.UNAUTHENTICATED


class ThrottledError(AccessError):
    """The caller must wait for `retry_after_s` after failed or during too many sign-ins; nothing was done."""

    reason = Reason.BUSY

    def __init__(self, retry_after_s: float, message: str = "") -> None:
        self.retry_after_s = max(1, math.ceil(retry_after_s))
        super().__init__(message or f"too many failed sign-ins; try again in {self.retry_after_s} s")


class EnrolmentError(CertcastError):
    """A join was refused: TOKEN_UNKNOWN, TOKEN_USED, TOKEN_EXPIRED, BUSY."""

    reason = Reason.TOKEN_UNKNOWN


class StorageError(CertcastError):
    """The store could not be read or written (NO_SPACE if the disk is full)."""

    reason = Reason.STORAGE


class MembershipLostError(StorageError):
    """Another manager evicted this one, or it has left: it may change nothing until it has joined again."""

    reason = Reason.BUSY


class DutyLostError(StorageError):
    """This manager no longer does the work that one does for all; its result is discarded."""

    reason = Reason.BUSY


class InstallError(CertcastError):
    """A step of an installation on a node failed; `reason` gives its kind."""

    reason = Reason.INTERNAL


class UnreachableError(CertcastError):
    """A peer did not answer in time or refused the connection."""

    reason = Reason.UNREACHABLE
