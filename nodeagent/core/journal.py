"""Journal: everything that an agent must remember across a kill, in one value.

Decides its content and format. Leaves its changes to `nodeagent.core.steps`, writing it to
`nodeagent.install.journalfile`, and acting on it at start to `nodeagent.core.recovery`. One file holds
everything, so each step is one atomic write (docs/decisions/0003-one-journal.md).
Invariant: between two writes the disk shows one whole generation, and the journal names the way out: forward
or back.
"""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from common.bundle.manifest import Manifest
from common.bundle.parts import Part
from common.codes import Phase, Result
from common.errors import CertcastError, InstallError, Reason
from common.ids import Digest
from common.schema import finding_text
from common.wire.fields import clip
from nodeagent.core.quarantine import Failed, Refusal

FORMAT: Final = 1

State = Literal["idle", "switching", "rolling_back"]
"""`switching` lasts from the first visible step to the commit; the link tells how far it got. `rolling_back`
never turns forward again."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A generation and its content."""

    epoch: int
    generation: int
    digest: Digest


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An installation under way. `directory` is the target's name below generations/.

    `loaded` and `waiting` are the values from before it began, valid again if it never becomes visible.
    `offered` is the digest of the offer if `version` holds only some of its parts, None if they are equal.
    `refused` lists the parts of the offer that it lacks, and `kept` those with their former content.
    `again` marks a further attempt at the same offer.
    """

    push_id: str
    directory: str
    version: Version
    started_s: float
    loaded: dict[str, Digest] = {}
    waiting: dict[str, float] = {}
    offered: Digest | None = None
    refused: dict[Part, Refusal] = {}
    kept: tuple[Part, ...] = ()
    again: bool = False

    @property
    def offer(self) -> Version:
        """The complete version that the manager offered; `version` may hold only some of its parts."""
        return replace(self.version, digest=self.offered or self.version.digest)


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why an installation failed, in which phase, and the diagnostics of the node at that time."""

    phase: Phase
    reason: str
    message: str
    diagnostics: str = ""


class UnacknowledgedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that the manager has not acknowledged. `reason` and `message` are "" after a success."""

    push_id: str
    version: Version
    result: Result
    phase: Phase
    reason: str = ""
    message: str = ""
    at_s: float
    duration_ms: int
    reloads: int
    diagnostics: str = ""


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's content.

    `directory` is the target of `current` between installations ("" before the first one). `applied` is None
    until its content was proven. `highest` is the highest version ever applied. `loaded` maps each consumer to
    the digest of its entries at its last proven reload; a missing consumer may have loaded anything.
    """

    format: int = FORMAT
    state: State = "idle"
    directory: str = ""
    previous: str = ""
    applied: Version | None = None
    highest: tuple[int, int] = (0, 0)
    attempt: Attempt | None = None
    cause: Cause | None = None
    loaded: dict[str, Digest] = {}
    waiting: dict[str, float] = {}
    """The consumers whose due reload waits on purpose, and since when (unix seconds)."""
    reloaded: dict[str, float] = {}
    """When each consumer was last reloaded (unix seconds)."""
    last_failed: Failed | None = None
    refused: dict[Part, Refusal] = {}
    """The refused parts of the last offers; each has its own rest."""
    is_partial: bool = False
    """Whether some parts of `applied` have former content or none."""
    unproven: Cause | None = None
    """Set after a rollback that could not be proven: the consumers may serve the wrong certificates."""
    unacknowledged: UnacknowledgedOutcome | None = msgspec.field(default=None, name="owed")


_DECODER = msgspec.json.Decoder(Journal)


def encode_journal(journal: Journal) -> bytes:
    """Return the file's bytes, indented for human readers."""
    return msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n"


def decode_journal(raw: bytes) -> Journal:
    """Read the file. Raises InstallError: PARSE, or UNSUPPORTED for one that a newer agent wrote."""
    try:
        journal = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InstallError(
            f"the journal cannot be read: {finding_text(error)}", reason=Reason.PARSE
        ) from error
    if journal.format != FORMAT:
        raise InstallError(
            f"the journal has format {journal.format}; this agent knows {FORMAT}", reason=Reason.UNSUPPORTED
        )
    return journal


def version_of(manifest: Manifest) -> Version:
    """Return a manifest's version."""
    return Version(epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest)


def cause_of(phase: Phase, error: CertcastError) -> Cause:
    """Return an error in the journal's form."""
    return Cause(phase=phase, reason=error.reason, message=clip(error.message))
