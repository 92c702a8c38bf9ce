"""Codes that programs go by: statuses of certificates, and states of chains.

Decides which there are. Leaves finding them to `manager.pki`. Pure. Invariant: a code never changes its meaning.
"""

from enum import StrEnum


class StatusCode(StrEnum):
    """The specification's statuses; stable for machines."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    TEMPORARY = "temporary"
    WEAK_SIGNATURE = "weak_signature"
    EMPTY_SUBJECT = "empty_subject"
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
