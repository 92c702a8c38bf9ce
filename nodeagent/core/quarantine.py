"""Quarantine: how long failed content rests, as a whole and part by part.

Decides from the number of failures of the same content in a row. Invariant: failed content is tried again after
growing pauses, at least once an hour, and never holds back other content.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from common.bundle.parts import PARTS, Part
from common.bundle.verify import PartFault
from common.codes import Phase
from common.errors import Reason
from common.ids import Digest
from common.wire import ladder
from common.wire.fields import PART_TEXT_MAX_CHARS, clip
from common.wire.ladder import step_s
from common.wire.messages import Failure, PartRefused


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure in the journal. `until_s` is unix seconds; `attempts` counts this digest in a row."""

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


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a part's content is not on this node. `until_s` is unix seconds; `attempts` counts this content in a row.

    `valid_from_s` is when a leaf becomes valid, by the manager's clock; 0 for any reason but NOT_YET_VALID.
    """

    part: Part
    digest: Digest
    phase: Phase
    reason: str
    message: str
    file: str = ""
    certificate: str = ""
    at_s: float
    attempts: int
    until_s: float
    valid_from_s: float = 0.0

    @property
    def text(self) -> str:
        """The refusal in one sentence with its file and certificate."""
        where = ", ".join(one for one in (self.file, self.certificate) if one)
        return f"{where}: {self.message}" if where else self.message


Refusals = Mapping[Part, Refusal]

WHAT: Mapping[Part, str] = {
    "server": "the server certificate",
    "client": "the client certificate",
    "trust": "the trust store",
}


def refuse(
    fault: PartFault, digest: Digest, *, before: Refusals, phase: Phase, now_s: float, true_s: float
) -> Refusal:
    """Return a part's refusal, with one attempt more if the same content was refused `before`.

    `true_s` is the time by the manager's clock; a leaf that is not valid yet is tried when it becomes valid.
    """
    attempts = attempts_with(before.get(fault.part), digest)
    rest_s = step_s(attempts)
    if fault.valid_from_s:
        rest_s = max(0.0, min(rest_s, fault.valid_from_s - true_s))
    return Refusal(
        part=fault.part,
        digest=digest,
        phase=phase,
        reason=fault.reason,
        message=clip(fault.message),
        file=fault.file,
        certificate=fault.certificate,
        at_s=now_s,
        attempts=attempts,
        until_s=now_s + rest_s,
        valid_from_s=fault.valid_from_s,
    )


def resting(refusal: Refusal | None, digest: Digest, now_s: float) -> bool:
    """Whether a part's content was refused and still rests."""
    return (
        refusal is not None
        and refusal.digest == digest
        and ladder.remaining_s(refusal.until_s, now_s, longest_s=step_s(refusal.attempts)) > 0
    )


def leading(refused: Refusals) -> Refusal:
    """Return the refusal to report first, in the bundle's order; leaves that are only not valid yet come last."""
    order = {part: number for number, part in enumerate(PARTS)}
    return min(refused.values(), key=lambda one: (one.reason == Reason.NOT_YET_VALID, order[one.part]))


def text_of(refused: Refusals, *, kept: Collection[Part]) -> str:
    """Describe what was refused and why. `kept` lists the parts that keep their former content."""
    lines = []
    for part in PARTS:
        if (one := refused.get(part)) is not None:
            stays = "stays as it was" if part in kept else "is left out"
            lines.append(f"{one.text}; {WHAT[part]} {stays}" if part != "trust" or part in kept else one.text)
    return clip(". ".join(lines))


def to_part_refused(refusal: Refusal, now_s: float) -> PartRefused:
    """Return a part's refusal for the report."""
    return PartRefused(
        part=refusal.part,
        digest=refusal.digest,
        reason=refusal.reason,
        message=clip(refusal.message, PART_TEXT_MAX_CHARS),
        file=refusal.file,
        certificate=refusal.certificate[:PART_TEXT_MAX_CHARS],
        attempts=refusal.attempts,
        retry_after_s=ladder.remaining_s(refusal.until_s, now_s),
    )


def attempts_with(before: Failed | Refusal | None, digest: Digest) -> int:
    """Return the number in a row that the next failure of this content would have."""
    return before.attempts + 1 if before is not None and before.digest == digest else 1


def remaining_s(failed: Failed, now_s: float) -> float:
    """Return how much longer the content rests.

    A clock that was set back must not prolong the rest, so the result never exceeds the step itself.
    """
    return ladder.remaining_s(failed.until_s, now_s, longest_s=step_s(failed.attempts))


def to_failure(failed: Failed, now_s: float) -> Failure:
    """Return the failure for the report."""
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
