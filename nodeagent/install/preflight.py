"""What is looked at before anything is touched: room, places for copies, and the bundle itself.

Decides whether a bundle is taken, and whether a refusal counts against its content. What is not its fault does not: damage
of what the node held, and a clock by which nothing can be judged.
Invariant: nothing that a service reads is changed here.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from common.bundle.manifest import Manifest
from common.bundle.verify import CLOCK_TOLERANCE_S, verify_bundle
from common.errors import BundleError, InstallError, Reason
from common.ids import Digest
from common.wire.messages import Phase
from common.wire.receiver import Install
from nodeagent.core import journal as steps
from nodeagent.core.journal import Attempt, cause_of, version_of
from nodeagent.core.plan import due
from nodeagent.install.copies import check_copies
from nodeagent.install.state import NodeState

log = structlog.get_logger(__name__)

CLOCK_REASONS: Final = frozenset({Reason.NOT_YET_VALID, Reason.EXPIRED})


def attempt_of(command: Install, *, directory: str, started_s: float) -> Attempt:
    """Return an installation as the journal knows it."""
    return Attempt(
        push_id=command.push_id,
        directory=directory,
        version=version_of(command.manifest),
        started_s=started_s,
    )


async def check_bundle(state: NodeState, command: Install) -> Mapping[Digest, bytes]:
    """Return all payloads of a bundle that can be installed. Raises BundleError."""
    if not state.is_services_known:
        # not the bundle's fault, so no reason for quarantine
        raise BundleError(
            "this node's services file cannot be used, so nothing could be reloaded or proven; put it right on the node",
            reason=Reason.SERVICES_INVALID,
        )
    held = await _held(state, command.manifest, command.payloads)
    phase: Phase = "preflight"
    try:
        try:
            await _check_room(state, command.manifest)
            phase = "check"
            await asyncio.to_thread(
                verify_bundle,
                command.manifest,
                held,
                applied=state.holdings.live if state.file.journal.applied is not None else None,
                now_s=state.clock(),
                forced=command.forced,
            )
        except InstallError as error:
            raise BundleError(error.message, reason=error.reason) from error
    except BundleError as error:
        await _refuse(state, command, phase, error)
        raise
    return held


async def _check_room(state: NodeState, manifest: Manifest) -> None:
    await asyncio.to_thread(state.tree.check_room, manifest)
    affected = due(state.services.consumers, manifest, state.file.journal.loaded)
    copies = [copy for consumer in affected for copy in consumer.copies]
    await asyncio.to_thread(check_copies, copies, state.tree.directory)


async def _refuse(state: NodeState, command: Install, phase: Phase, error: BundleError) -> None:
    if error.reason in CLOCK_REASONS and abs(state.skew_s) > CLOCK_TOLERANCE_S:
        # no reason for quarantine: once the clock is right it is taken
        raise BundleError(
            f"this node's clock is {state.skew_s:+.0f} s from the manager's, so it cannot be judged: {error.message}",
            reason=Reason.CLOCK_SKEW,
        ) from error
    now_s = state.clock()
    attempt = attempt_of(command, directory="", started_s=now_s)
    await state.file.keep(steps.reject(state.file.journal, attempt, cause_of(phase, error), now_s=now_s))
    log.warning(
        "offer.refused",
        generation=command.manifest.generation,
        reason=error.reason,
        message=error.message,
    )


async def _held(
    state: NodeState, manifest: Manifest, travelled: Mapping[Digest, bytes]
) -> dict[Digest, bytes]:
    """Return all payloads: what travelled, and the rest from the live tree."""
    payloads = dict(travelled)
    wanted = {entry.digest for entry in manifest.entries} - payloads.keys()
    directory = state.file.journal.directory
    if wanted and directory:
        payloads |= await asyncio.to_thread(state.tree.payloads, manifest, [directory])
    if lost := wanted - payloads.keys():
        # no reason for quarantine: with the next offer it will travel
        state.holdings.was_lost(lost)
        raise BundleError(
            f"{len(lost)} files that this node held are damaged; they must be sent again",
            reason=Reason.BAD_DIGEST,
        )
    return payloads
