"""How long content that failed is left alone.

Decides from how often the same content failed in a row. Invariant: a digest that failed is tried again, later each time
but at least once an hour, and other content is never held back by it.
"""

from typing import Literal

import msgspec

from common.ids import Digest
from common.wire import ladder
from common.wire.ladder import step_s
from common.wire.messages import Failure, Phase


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure, as the journal keeps it. `until_s` is unix seconds; `attempts` counts this digest in a row."""

    epoch: int
    generation: int
    digest: Digest
    result: Literal["rolled_back", "failed", "rejected"]
    phase: Phase
    reason: str
    message: str
    at_s: float
    attempts: int
    until_s: float


def attempts_with(before: Failed | None, digest: Digest) -> int:
    """Return which failure in a row another one of this content would be."""
    return before.attempts + 1 if before is not None and before.digest == digest else 1


def remaining_s(failed: Failed, now_s: float) -> float:
    """Return how much longer the content rests.

    A clock that was set back must not prolong it, so it is never more than the step itself.
    """
    return ladder.remaining_s(failed.until_s, now_s, longest_s=step_s(failed.attempts))


def to_failure(failed: Failed, now_s: float) -> Failure:
    """Return the failure as it is reported."""
    return Failure(
        epoch=failed.epoch,
        generation=failed.generation,
        digest=failed.digest,
        result=failed.result,
        phase=failed.phase,
        reason=failed.reason,
        message=failed.message,
        at_s=failed.at_s,
        attempts=failed.attempts,
        retry_after_s=remaining_s(failed, now_s),
    )
