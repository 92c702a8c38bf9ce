"""Journal: everything that an agent must still know after it was killed, in one value.

Decides what is in it and how it is written down. Leaves how it changes to `nodeagent.core.steps`, writing it to
`nodeagent.install.journalfile`, and what to do with it at start to `nodeagent.core.recovery`. One file holds all of it, so that
each step is one atomic write (docs/decisions/0003-one-journal.md).
Invariant: between two writes the disk shows one whole generation, and this value names the way out: forward or back.
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
"""`switching`: from the first visible step to the commit; the link says how far it came. `rolling_back`: never forward."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A generation and its content."""

    epoch: int
    generation: int
    digest: Digest


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An installation under way. `directory` is the target's name below generations/.

    `loaded` and `waiting` are what held when it began, and hold again if it never becomes visible.
    `offered` is the digest of what was offered where `version` holds only some of its parts (None where it is the same),
    `refused` are the parts that it does not hold, and `kept` those of which it holds former content.
    `again`: it is a further attempt at one offer.
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
        """The version that the manager offered, whole, of which `version` may hold only some parts."""
        return replace(self.version, digest=self.offered or self.version.digest)


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why an installation could not be finished, in which phase, and what was seen on the node then."""

    phase: Phase
    reason: str
    message: str
    diagnostics: str = ""


class UnacknowledgedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that the manager has not acknowledged. `reason` and `message` are "" for one that was applied."""

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

    `directory` is what `current` shows while nothing is under way ("" before the first installation); `applied` is
    None until that was proven. `highest` is the highest version ever applied. `loaded`: consumer -> digest of the
    entries it uses, as of its last proven reload; a consumer that is not in it has loaded nobody knows what.
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
    """Consumers whose reload is due and waits on purpose, since when (unix seconds)."""
    reloaded: dict[str, float] = {}
    """When each consumer was last reloaded (unix seconds)."""
    last_failed: Failed | None = None
    refused: dict[Part, Refusal] = {}
    """The parts of the last offers that are not on this node; they rest one by one."""
    is_partial: bool = False
    """Whether `applied` holds former content, or none, in some of its parts."""
    unproven: Cause | None = None
    """Set while a rollback could not be proven: what the consumers serve is not known to be right."""
    unacknowledged: UnacknowledgedOutcome | None = msgspec.field(default=None, name="owed")


_DECODER = msgspec.json.Decoder(Journal)


def encode_journal(journal: Journal) -> bytes:
    """Return the file's bytes, indented for people who look into it."""
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
    """Return what a manifest is called."""
    return Version(epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest)


def cause_of(phase: Phase, error: CertcastError) -> Cause:
    """Return an error as the journal keeps it."""
    return Cause(phase=phase, reason=error.reason, message=clip(error.message))
