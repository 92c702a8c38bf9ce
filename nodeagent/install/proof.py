"""Reload consumers, and prove on the real ports that they took what was installed.

Decides which evidence counts. Forward, a reload that fails is enough to turn back, and one that claims success is
believed only once every endpoint sends the new leaf and chain. Back, only the ports count, if a consumer has any: a command
that fails does not matter as long as the old leaf is served; and a port that was dark before the installation began is no
sign that the way back failed.
Invariant: each consumer is reloaded at most once a call, and its copies are written before.
"""

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from common.errors import InstallError
from common.wire.messages import Serving
from nodeagent.core.journal import Cause, cause_of
from nodeagent.core.served import Wanted, complaint
from nodeagent.core.services import Consumer
from nodeagent.install.copies import write_copies
from nodeagent.install.reload import ReloadError, reload_consumer
from nodeagent.install.state import NodeState, Say

BASELINE_TIMEOUT_S = 2.0
"""For the look at the ports before an installation; a port that takes longer counts as dark."""

Port = tuple[str, str]
"""A consumer's name and an endpoint's label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be loaded: a generation's directory, and what ports must send then."""

    directory: str
    wanted: Wanted


@dataclass(slots=True)
class Proof:
    """What came of it. `cause` None: every consumer is `proven`. `said` are the words of reloads that failed."""

    reloads: int = 0
    proven: list[Consumer] = field(default_factory=list)
    failed: list[Consumer] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    cause: Cause | None = None


async def look_first(state: NodeState, consumers: Sequence[Consumer]) -> list[Serving]:
    """Look at the ports before anything is changed."""
    seen = await state.prober.look(consumers, {}, timeout_s=BASELINE_TIMEOUT_S)
    state.holdings.was_seen(seen)
    return seen


def dark_ports(seen: Iterable[Serving]) -> frozenset[Port]:
    """Return the ports that show nothing."""
    return frozenset((one.consumer, one.endpoint) for one in seen if not one.leaf)


async def prove_forward(
    state: NodeState, consumers: Sequence[Consumer], target: Target, *, say: Say
) -> Proof:
    """Write copies, reload and verify; stop at the first failure."""
    proof = Proof()
    for consumer in consumers:
        say("reload", consumer.name)
        try:
            await _reload(state, consumer, target, proof)
        except InstallError as error:
            proof.cause = cause_of("reload", error)
            proof.failed.append(consumer)
            return proof
    say("verify", "")
    for consumer, seen in await _look(state, consumers, target.wanted):
        wrong = next((found for one in seen if (found := complaint(one, target.wanted)) is not None), None)
        if wrong is None:
            proof.proven.append(consumer)
            continue
        proof.failed.append(consumer)
        if proof.cause is None:
            proof.cause = cause_of("verify", wrong)
    return proof


async def prove_back(
    state: NodeState,
    consumers: Sequence[Consumer],
    target: Target,
    *,
    dark: AbstractSet[Port],
    say: Say,
) -> Proof:
    """Do the same for the old generation; go on after a failure, since every consumer counts."""
    proof = Proof()
    failed: dict[str, InstallError] = {}
    for consumer in consumers:
        say("rollback", consumer.name)
        try:
            await _reload(state, consumer, target, proof)
        except InstallError as error:
            failed[consumer.name] = error
    for consumer, seen in await _look(state, consumers, target.wanted):
        complaints = [(one, found) for one in seen if (found := complaint(one, target.wanted)) is not None]
        wrong = next((found for one, found in complaints if not _was_dark(one, dark)), None)
        if wrong is None and not seen:
            wrong = failed.get(consumer.name)
        if wrong is not None:
            proof.failed.append(consumer)
            if proof.cause is None:
                proof.cause = cause_of("rollback", wrong)
        if wrong is None and not complaints and (seen or consumer.name not in failed):
            proof.proven.append(consumer)
    return proof


async def _reload(state: NodeState, consumer: Consumer, target: Target, proof: Proof) -> None:
    await asyncio.to_thread(
        write_copies, consumer.copies, lambda path: state.tree.body(target.directory, path)
    )
    proof.reloads += 1
    try:
        await reload_consumer(consumer)
    except ReloadError as error:
        proof.said.append(f"'{consumer.name}': {error.message}\n{error.output}")
        raise


async def _look(
    state: NodeState, consumers: Sequence[Consumer], wanted: Wanted
) -> Iterable[tuple[Consumer, list[Serving]]]:
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(state.prober.wait_for(consumer, wanted)) for consumer in consumers]
    seen = [look.result() for look in looks]
    for one in seen:
        state.holdings.was_seen(one)
    return zip(consumers, seen, strict=True)


def _was_dark(seen: Serving, dark: AbstractSet[Port]) -> bool:
    return not seen.leaf and (seen.consumer, seen.endpoint) in dark
