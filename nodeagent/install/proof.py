"""Proof of an installation: reload consumers, and check on the real ports that they use the new files.

Decides which evidence counts. Forward, a failed reload is enough to roll back, and a successful one is believed only
once every endpoint sends the new leaf and chain, or keeps sending unchanged ones. Back, only the ports count if a
consumer has any: a failed command does not matter while the old leaf is served, and a port that was unreachable
before the installation does not show that the rollback failed. A service that runs neither before nor after proves
nothing: it finds its files when it starts, and the others go on.
Invariant: each consumer is reloaded at most once per call, and all copies are written before the first reload.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from common.bundle.parts import Part
from common.codes import Phase
from common.errors import CertcastError, InstallError
from common.wire.messages import Serving
from nodeagent.core.journal import Cause, cause_of
from nodeagent.core.served import Wanted, mismatch
from nodeagent.core.services import Consumer
from nodeagent.core.timing import Wait
from nodeagent.install.copies import write_copies
from nodeagent.install.probe import Port
from nodeagent.install.reload import ReloadError, reload_consumer, start_consumer
from nodeagent.install.state import NodeState, ProgressCallback
from nodeagent.install.stopped import Stopped, find_stopped

BASELINE_TIMEOUT_S = 2.0
"""The limit for the probes before an installation; a slower port counts as unreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The files to load: a generation's directory, and the certificates that ports must send then."""

    directory: str
    wanted: Wanted


@dataclass(slots=True)
class Proof:
    """The result. `cause` None: every consumer is `proven` or `waits` for its service to run.

    `outputs` come from failed reloads; `unwritten` lists the parts whose copies could not be written.
    """

    reloads: int = 0
    proven: list[Consumer] = field(default_factory=list)
    failed: list[Consumer] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    unwritten: set[Part] = field(default_factory=set)
    cause: Cause | None = None
    waits: dict[str, Wait] = field(default_factory=dict)

    def fail(self, consumer: Consumer, phase: Phase, error: CertcastError) -> None:
        """Note a failure; the first is the cause."""
        self.failed.append(consumer)
        if self.cause is None:
            self.cause = cause_of(phase, error)


async def probe_baseline(state: NodeState, consumers: Sequence[Consumer]) -> list[Serving]:
    """Probe the ports before any change."""
    seen = await state.prober.probe(consumers, {}, timeout_s=BASELINE_TIMEOUT_S)
    state.local.update_serving(seen)
    return seen


def shown_leaves(seen: Iterable[Serving]) -> dict[Port, str]:
    """Return the leaf of each port, "" for none."""
    return {(one.consumer, one.endpoint): one.leaf for one in seen}


def unreachable_endpoints(seen: Iterable[Serving]) -> frozenset[Port]:
    """Return the ports without a certificate."""
    return frozenset((one.consumer, one.endpoint) for one in seen if not one.leaf)


async def prove_forward(
    state: NodeState,
    consumers: Sequence[Consumer],
    target: Target,
    *,
    shown: Mapping[Port, str],
    stopped: Mapping[str, Stopped],
    goes_on: bool,
    progress: ProgressCallback,
) -> Proof:
    """Write all copies, then reload and verify; stop at the first failure unless it `goes_on`.

    `shown` has the leaf of each port before. `stopped` services did not run before: their failures do not count
    while they still do not run.
    """
    proof = Proof()
    try:
        await _write_copies(state, consumers, target, proof)
    except InstallError as error:
        proof.cause = cause_of("reload", error)
        return proof
    loaded = await _load_all(state, consumers, proof, stopped=stopped, goes_on=goes_on, progress=progress)
    if proof.cause is not None and not goes_on:
        return proof
    progress("verify", "")
    for consumer, seen in await _await_endpoints(state, loaded, target.wanted, shown):
        wrong = next((found for one in seen if (found := mismatch(one, target.wanted)) is not None), None)
        if wrong is None:
            proof.proven.append(consumer)
        elif still := await _still_stopped(consumer, stopped.get(consumer.name), seen):
            proof.waits[consumer.name] = still.wait
        else:
            proof.fail(consumer, "verify", wrong)
    return proof


async def _load_all(
    state: NodeState,
    consumers: Sequence[Consumer],
    proof: Proof,
    *,
    stopped: Mapping[str, Stopped],
    goes_on: bool,
    progress: ProgressCallback,
) -> list[Consumer]:
    """Reload one by one; return those whose ports to verify. Stops at the first failure unless it `goes_on`."""
    loaded: list[Consumer] = []
    for consumer in consumers:
        before = stopped.get(consumer.name)
        if before is not None and _is_left_alone(state, consumer, before):
            proof.waits[consumer.name] = before.wait
            continue
        progress("reload", consumer.name)
        wrong = await _load(state, consumer, before, proof)
        still = await _still_stopped(consumer, before)
        if still is not None and ((wrong is not None and still.is_excuse) or still.is_certain):
            proof.waits[consumer.name] = still.wait
        elif wrong is None:
            loaded.append(consumer)
        else:
            proof.fail(consumer, "reload", wrong)
            if not goes_on:
                break
    return loaded


async def prove_rollback(
    state: NodeState,
    consumers: Sequence[Consumer],
    target: Target,
    *,
    shown: Mapping[Port, str],
    unreachable: AbstractSet[Port],
    were_stopped: AbstractSet[str],
    stopped: Mapping[str, Stopped],
    progress: ProgressCallback,
) -> Proof:
    """Reload and prove the old generation; go on after a failure, since every consumer counts.

    `shown` is empty if the previous reload may still be settling, since its handshakes then prove nothing.
    `were_stopped` did not run before any change; `stopped` do not run now.
    """
    proof = Proof()
    failed: dict[str, InstallError] = {}
    awaited: list[Consumer] = []
    for consumer in consumers:
        progress("rollback", consumer.name)
        before, was_stopped = stopped.get(consumer.name), consumer.name in were_stopped
        try:
            await _write_copies(state, [consumer], target, proof)
            if was_stopped and before is not None and _is_left_alone(state, consumer, before):
                continue
            wrong = await _load(state, consumer, before, proof)
        except InstallError as error:
            wrong = error
        if wrong is not None:
            failed[consumer.name] = wrong
            still = await _still_stopped(consumer, before) if was_stopped else None
            if still is not None and still.is_excuse:
                continue
        awaited.append(consumer)
    for consumer, seen in await _await_endpoints(state, awaited, target.wanted, shown):
        mismatches = [(one, found) for one in seen if (found := mismatch(one, target.wanted)) is not None]
        wrong = next((found for one, found in mismatches if not _was_unreachable(one, unreachable)), None)
        is_stopped = consumer.name in were_stopped and consumer.name in stopped
        if wrong is None and not seen and not is_stopped:
            wrong = failed.get(consumer.name)
        if wrong is not None:
            proof.fail(consumer, "rollback", wrong)
        elif not mismatches and (seen or consumer.name not in failed):
            proof.proven.append(consumer)
    return proof


async def _write_copies(
    state: NodeState, consumers: Iterable[Consumer], target: Target, proof: Proof
) -> None:
    for consumer in consumers:
        for copy in consumer.copies:
            try:
                await asyncio.to_thread(
                    write_copies, [copy], lambda path: state.tree.body(target.directory, path)
                )
            except InstallError:
                proof.failed.append(consumer)
                proof.unwritten.add(copy.part)
                raise


async def _load(
    state: NodeState, consumer: Consumer, before: Stopped | None, proof: Proof
) -> InstallError | None:
    """Make a consumer read its files: reload it, or start it if it does not run. Returns the failure.

    Checks again whether it runs: if an earlier attempt or somebody else has started it, a start does nothing.
    """
    proof.reloads += 1
    still = await _still_stopped(consumer, before) if consumer.start else None
    is_starting = still is not None and still.unit != "running"
    try:
        await (start_consumer if is_starting else reload_consumer)(consumer, state.tree.directory)
    except ReloadError as error:
        proof.outputs.append(f"'{consumer.name}': {error.message}\n{error.output}")
        return error
    return None


def _is_left_alone(state: NodeState, consumer: Consumer, before: Stopped) -> bool:
    """Whether somebody stopped it after it had run with the installed files: then only an administrator starts it."""
    return before.is_deliberate and consumer.name in state.file.journal.reloaded


async def _still_stopped(
    consumer: Consumer, before: Stopped | None, seen: Iterable[Serving] = ()
) -> Stopped | None:
    return (await find_stopped([consumer], seen)).get(consumer.name) if before is not None else None


async def _await_endpoints(
    state: NodeState, consumers: Sequence[Consumer], wanted: Wanted, shown: Mapping[Port, str]
) -> Iterable[tuple[Consumer, list[Serving]]]:
    async with asyncio.TaskGroup() as tasks:
        probes = [
            tasks.create_task(state.prober.wait_for(consumer, wanted, shown=shown)) for consumer in consumers
        ]
    seen = [probe.result() for probe in probes]
    for one in seen:
        state.local.update_serving(one)
    return zip(consumers, seen, strict=True)


def _was_unreachable(seen: Serving, unreachable: AbstractSet[Port]) -> bool:
    return not seen.leaf and (seen.consumer, seen.endpoint) in unreachable
