"""Pre-flight: checks of disk space and of each part of the bundle, before anything is touched.

Decides which parts of a bundle to install: an unusable part keeps its former content, and the others go on without
it. Also decides whether a refusal counts against the content. Damaged files on the node and a wrong clock do not.
Invariant: changes nothing that a service reads.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec
import structlog

from common.bundle.manifest import TRUST, Manifest, ManifestEntry, Slot, is_confirmed_shrink
from common.bundle.parts import Part, changed_parts, entries_of, part_digest, with_former
from common.bundle.verify import (
    CA_CERTIFICATES,
    CLOCK_TOLERANCE_S,
    PartFault,
    count_anchors,
    find_faults,
    judge_validity,
)
from common.codes import Phase
from common.errors import BundleError, InstallError, Reason
from common.ids import Digest, digest_of
from common.wire.receiver import Install
from common.words import counted
from nodeagent.core import steps
from nodeagent.core.journal import Attempt, cause_of, version_of
from nodeagent.core.quarantine import Failed, Refusal, leading, refuse, resting, text_of
from nodeagent.install.canary import find_refused, loadable
from nodeagent.install.state import NodeState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The installable part of an offer: `manifest` has the former content of the `refused` parts.

    `kept` lists the refused parts that fall back to their former content. `again` marks a further attempt.
    """

    push_id: str
    manifest: Manifest
    payloads: Mapping[Digest, bytes] = field(repr=False)
    offered: Digest | None = None
    refused: Mapping[Part, Refusal] = field(default_factory=dict)
    kept: tuple[Part, ...] = ()
    again: bool = False

    def attempt(self, *, directory: str, started_s: float) -> Attempt:
        """Return the installation for the journal."""
        return Attempt(
            push_id=self.push_id,
            directory=directory,
            version=version_of(self.manifest),
            started_s=started_s,
            offered=self.offered,
            refused=dict(self.refused),
            kept=self.kept,
            again=self.again,
        )


async def check_bundle(state: NodeState, command: Install) -> Checked:
    """Return the installable part of a bundle. Raises BundleError if it would change nothing."""
    if not state.is_services_known:
        # not the bundle's fault, so no reason for quarantine
        raise BundleError(
            "this node's services file cannot be used, so nothing could be reloaded or proven; correct it on the node",
            reason=Reason.SERVICES_INVALID,
        )
    manifest = command.manifest
    held = await _held(state, manifest, command.payloads)
    offer = Checked(push_id=command.push_id, manifest=manifest, payloads=held)
    try:
        await check_room(state, manifest)
    except InstallError as error:
        state.unroomed = manifest
        raise await _refuse(state, offer, "preflight", error) from error
    try:
        faults = await asyncio.to_thread(_judge, state, command, held)
    except BundleError as error:
        raise await _refuse(state, offer, "check", error) from error
    refused = _refusals(state, manifest, faults)
    return await _without(state, offer, refused) if refused else offer


async def check_room(state: NodeState, manifest: Manifest) -> None:
    """Check that there is room for a bundle. Raises InstallError."""
    await asyncio.to_thread(state.tree.check_room, manifest)


async def hold_back(state: NodeState, checked: Checked, blamed: Mapping[Part, Failed]) -> Checked | None:
    """Return the same with former content in the `blamed` parts as well; None if that cannot be read.

    Content that was never proven is no former content. A slot without former content is left out.
    """
    refused: dict[Part, Refusal] = {}
    for part, why in blamed.items():
        fault = PartFault(part=part, reason=Reason(why.reason), message=why.message, file=part)
        refused |= _refusals(state, checked.manifest, {part: fault}, phase=why.phase)
    former = state.local.live if state.file.journal.applied is not None else None
    try:
        return replace(await _narrowed(state, checked, refused, former), again=True)
    except BundleError:
        return None


# -- what is wrong with it


def _judge(
    state: NodeState, command: Install, held: Mapping[Digest, bytes]
) -> dict[Part, PartFault | Refusal]:
    """Return why each unusable part among the changed ones is unusable. Raises BundleError. Runs in a thread."""
    manifest, journal = command.manifest, state.file.journal
    proven = state.local.live if journal.applied is not None else None
    now_s = state.clock()
    changed = changed_parts(proven, manifest)
    # the same content may be tried after its rest; other content must not try a part that still rests
    is_same = journal.last_failed is not None and journal.last_failed.digest == manifest.digest
    is_confirmed = is_confirmed_shrink(manifest, command.confirmed_anchors)
    found: dict[Part, PartFault | Refusal] = {
        part: refusal
        for part in changed
        if (refusal := journal.refused.get(part)) is not None
        and resting(refusal, part_digest(manifest, part), now_s)
        and not (is_same or command.forced or (refusal.reason == Reason.SHRINK_GUARD and is_confirmed))
    }
    faults = find_faults(
        manifest,
        held,
        applied=proven,
        now_s=state.true_s(),
        forced=command.forced,
        confirmed_anchors=command.confirmed_anchors,
    )
    own = [
        fault
        for slot in manifest.slots
        if (fault := _by_own_clock(state, slot, manifest, proven)) is not None
    ]
    for fault in (*faults, *own):
        if fault.part in changed:
            found.setdefault(fault.part, fault)
    whole = [part for part in changed if part not in found]
    for fault in find_refused({entry.path: held[entry.digest] for entry in manifest.entries}, whole):
        found[fault.part] = fault
    return found


def _by_own_clock(
    state: NodeState, slot: Slot, manifest: Manifest, applied: Manifest | None
) -> PartFault | None:
    """Return CLOCK_SKEW for a leaf that is valid, but not by this node's own clock, which is wrong."""
    if abs(state.skew_s) <= CLOCK_TOLERANCE_S:
        return None
    fault = judge_validity(slot, manifest, applied=applied, now_s=state.clock())
    if fault is None:
        return None
    text = f"this node's clock is {state.skew_s:+.0f} s from the manager's, so validity cannot be judged"
    return replace(fault, reason=Reason.CLOCK_SKEW, message=f"{text}: {fault.message}", valid_from_s=0)


def _refusals(
    state: NodeState,
    manifest: Manifest,
    faults: Mapping[Part, PartFault | Refusal],
    *,
    phase: Phase = "check",
) -> dict[Part, Refusal]:
    before, now_s, true_s = state.file.journal.refused, state.clock(), state.true_s()
    return {
        part: fault
        if isinstance(fault, Refusal)
        else refuse(
            fault, part_digest(manifest, part), before=before, phase=phase, now_s=now_s, true_s=true_s
        )
        for part, fault in faults.items()
    }


# -- what is left of it


async def _without(state: NodeState, offer: Checked, refused: Mapping[Part, Refusal]) -> Checked:
    """Return the offer without these parts. Raises BundleError if nothing is left."""
    first = leading(refused)
    former = state.local.live
    wholly = replace(offer, refused=refused, kept=tuple(part for part in refused if _has(former, part)))
    refusal = BundleError(text_of(refused, kept=wholly.kept), reason=Reason(first.reason))
    try:
        narrower = await _narrowed(state, offer, refused, former)
    except BundleError:
        raise await _refuse(state, wholly, first.phase, refusal) from None
    journal = state.file.journal
    if journal.applied is not None and former is not None and narrower.manifest.digest == former.digest:
        raise await _refuse(state, wholly, first.phase, refusal)
    log.warning(
        "offer.refused", generation=offer.manifest.generation, reason=first.reason, message=refusal.message
    )
    return narrower


async def _narrowed(
    state: NodeState, checked: Checked, refused: Mapping[Part, Refusal], former: Manifest | None
) -> Checked:
    """Return the bundle with former content in these parts as well. Raises BundleError if it is unreadable."""
    payloads, manifest = dict(checked.payloads), checked.manifest
    offered = checked.offered or manifest.digest
    if "trust" in refused and former is None:
        manifest, salvaged = await asyncio.to_thread(_salvaged, manifest, payloads)
        payloads |= salvaged
        replaced = frozenset(refused) - {"trust"}
    else:
        replaced = frozenset(refused)
    manifest = with_former(manifest, former, replaced)
    missing = {entry.digest for entry in manifest.entries} - payloads.keys()
    directory = state.tree.live()
    if missing and directory:
        payloads |= await asyncio.to_thread(state.tree.payloads, manifest, [directory])
    if missing - payloads.keys():
        raise BundleError("the former content cannot be read", reason=Reason.BAD_DIGEST)
    kept = (part for part in refused if _has(former, part))
    return replace(
        checked,
        manifest=manifest,
        payloads=payloads,
        offered=offered,
        refused={**checked.refused, **refused},
        kept=tuple(dict.fromkeys((*checked.kept, *kept))),
    )


def _salvaged(
    manifest: Manifest, payloads: Mapping[Digest, bytes]
) -> tuple[Manifest, Mapping[Digest, bytes]]:
    """Drop unloadable CAs from a node's first trust store. Raises BundleError if none is left."""
    bodies = {entry.path: loadable(payloads[entry.digest]) for entry in entries_of(manifest, TRUST)}
    anchors = count_anchors(bodies[CA_CERTIFICATES])
    if not anchors:
        raise BundleError("the trust store is empty", reason=Reason.EMPTY_BUNDLE)
    entries = [
        ManifestEntry(path=path, digest=digest_of(body), size_bytes=len(body))
        for path, body in bodies.items()
    ]
    others = [entry for entry in manifest.entries if entry.path not in bodies]
    changed = msgspec.structs.replace(
        manifest, anchors=anchors, entries=tuple(sorted([*others, *entries], key=lambda entry: entry.path))
    )
    return changed, {digest_of(body): body for body in bodies.values()}


def _has(former: Manifest | None, part: Part) -> bool:
    return former is not None and bool(entries_of(former, part))


# -- the whole of it


async def _refuse(
    state: NodeState, offer: Checked, phase: Phase, error: BundleError | InstallError
) -> BundleError:
    """Record that the whole bundle is refused; return the error to raise."""
    if any(one.reason == Reason.CLOCK_SKEW for one in offer.refused.values()):
        # no reason for quarantine: it is accepted once the clock is right
        return BundleError(error.message, reason=Reason.CLOCK_SKEW)
    now_s = state.clock()
    attempt = offer.attempt(directory="", started_s=now_s)
    await state.file.keep(steps.reject(state.file.journal, attempt, cause_of(phase, error), now_s=now_s))
    log.warning(
        "offer.refused",
        generation=offer.manifest.generation,
        reason=error.reason,
        message=error.message,
    )
    return BundleError(error.message, reason=error.reason)


async def _held(
    state: NodeState, manifest: Manifest, travelled: Mapping[Digest, bytes]
) -> dict[Digest, bytes]:
    """Return all payloads: those that travelled, and the rest from the live tree."""
    payloads = dict(travelled)
    wanted = {entry.digest for entry in manifest.entries} - payloads.keys()
    directory = state.file.journal.directory
    if wanted and directory:
        payloads |= await asyncio.to_thread(state.tree.payloads, manifest, [directory])
    if lost := wanted - payloads.keys():
        # no reason for quarantine: the next offer sends it
        state.local.mark_lost(lost)
        raise BundleError(
            f"{counted(len(lost), 'file')} that this node held cannot be read any more and must be sent again",
            reason=Reason.BAD_DIGEST,
        )
    return payloads
