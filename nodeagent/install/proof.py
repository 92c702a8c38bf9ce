"""Reload consumers, and prove on the real ports that they took what was installed.

Decides which evidence counts. Forward, a reload that fails is enough to turn back, and one that claims success is
believed only once every endpoint shows the new leaf. Back, only the ports count, if a consumer has any: a command that
fails does not matter as long as the old leaf is served; and a port that was dark before the installation began is no
sign that the way back failed.
Invariant: each consumer is reloaded at most once a call.
"""

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from common.bundle.manifest import Manifest
from common.errors import InstallError
from common.wire.messages import Serving
from nodeagent.core.journal import Cause, cause_of
from nodeagent.core.services import Consumer
from nodeagent.install.probe import complaint
from nodeagent.install.reload import reload_consumer
from nodeagent.install.state import NodeState, Say

BASELINE_TIMEOUT_S = 2.0
"""For the look at the ports before an installation; a port that takes longer counts as dark."""

Port = tuple[str, str]
"""A consumer's name and an endpoint's label."""


@dataclass(slots=True)
class Proof:
    """What came of it. `cause` None: every consumer is `proven`."""

    reloads: int = 0
    proven: list[Consumer] = field(default_factory=list)
    cause: Cause | None = None


async def find_dark(state: NodeState, consumers: Sequence[Consumer]) -> frozenset[Port]:
    """Return the ports that show nothing now, before anything is changed."""
    seen = await state.prober.look(consumers, timeout_s=BASELINE_TIMEOUT_S)
    state.holdings.was_seen(seen)
    return frozenset((one.consumer, one.endpoint) for one in seen if not one.leaf)


async def prove_forward(
    state: NodeState, consumers: Sequence[Consumer], manifest: Manifest, *, say: Say
) -> Proof:
    """Reload and verify; stop at the first failure."""
    proof = Proof()
    for consumer in consumers:
        say("reload", consumer.name)
        proof.reloads += 1
        try:
            await reload_consumer(consumer)
        except InstallError as error:
            proof.cause = cause_of("reload", error)
            return proof
    say("verify", "")
    for consumer, seen in await _look(state, consumers, manifest):
        wrong = next((found for one in seen if (found := complaint(one, manifest)) is not None), None)
        if wrong is None:
            proof.proven.append(consumer)
        elif proof.cause is None:
            proof.cause = cause_of("verify", wrong)
    return proof


async def prove_back(
    state: NodeState,
    consumers: Sequence[Consumer],
    manifest: Manifest,
    *,
    dark: AbstractSet[Port],
    say: Say,
) -> Proof:
    """Reload and verify the old generation; go on after a failure, since every consumer counts."""
    proof = Proof()
    failed: dict[str, InstallError] = {}
    for consumer in consumers:
        say("rollback", consumer.name)
        proof.reloads += 1
        try:
            await reload_consumer(consumer)
        except InstallError as error:
            failed[consumer.name] = error
    for consumer, seen in await _look(state, consumers, manifest):
        complaints = [(one, found) for one in seen if (found := complaint(one, manifest)) is not None]
        wrong = next((found for one, found in complaints if not _was_dark(one, dark)), None)
        if wrong is None and not seen:
            wrong = failed.get(consumer.name)
        if wrong is not None and proof.cause is None:
            proof.cause = cause_of("rollback", wrong)
        if wrong is None and not complaints and (seen or consumer.name not in failed):
            proof.proven.append(consumer)
    return proof


async def _look(
    state: NodeState, consumers: Sequence[Consumer], manifest: Manifest
) -> Iterable[tuple[Consumer, list[Serving]]]:
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(state.prober.wait_for(consumer, manifest)) for consumer in consumers]
    seen = [look.result() for look in looks]
    for one in seen:
        state.holdings.was_seen(one)
    return zip(consumers, seen, strict=True)


def _was_dark(seen: Serving, dark: AbstractSet[Port]) -> bool:
    return not seen.leaf and (seen.consumer, seen.endpoint) in dark
