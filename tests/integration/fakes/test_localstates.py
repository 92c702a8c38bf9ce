"""What an agent has, in memory and on a disk: the conversation is told the same of both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.bundle.build import Bundle
from common.ids import digest_of
from common.wire.messages import Outcome
from common.wire.offers import LocalState
from tests import pki
from tests.fakes.localstate import MemoryLocalState
from tests.integration.agent_parts import (
    ROOT,
    command,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)

FIRST = real_bundle(pki.make_leaf(ROOT, ["first.example.com"]), 1)
NEXT = real_bundle(pki.make_leaf(ROOT, ["next.example.com"]), 2)
NOW_S = float(pki.NOW_S)


@dataclass(frozen=True, slots=True)
class Node:
    local: LocalState
    install: Callable[[Bundle], Awaitable[Outcome]]
    roll_back: Callable[[Bundle], Awaitable[Outcome]]


def in_memory() -> Node:
    local = MemoryLocalState()

    async def take(bundle: Bundle) -> Outcome:
        return local.apply(command(bundle), NOW_S)

    async def refuse(bundle: Bundle) -> Outcome:
        return local.roll_back(command(bundle), NOW_S)

    return Node(local, take, refuse)


async def on_disk(directory: Path) -> Node:
    broken = directory / "broken"
    key = directory / "data/current/server/privkey.pem"
    reload = script(directory / "reload", f'! grep -qs "$(sha256sum <{key} | cut -c1-64)" {broken}')
    state = await open_node(directory / "data", services(consumer(reload)))

    async def take(bundle: Bundle) -> Outcome:
        return await install(state, bundle)

    async def refuse(bundle: Bundle) -> Outcome:
        (entry,) = [one for one in bundle.manifest.entries if one.path == "server/privkey.pem"]
        broken.write_text(f"{entry.digest}\n")
        return await install(state, bundle)

    return Node(state.local, take, refuse)


@pytest.fixture(params=["in memory", "on disk"])
async def node(request: Any, tmp_path: Path) -> Node:
    return in_memory() if request.param == "in memory" else await on_disk(tmp_path)


async def test_a_new_node_has_nothing(node: Node):
    report = node.local.report(NOW_S)
    assert (report.applied, report.last_failed, report.serving) == (None, None, [])
    assert (node.local.applied(), node.local.highest()) == (None, (0, 0))
    assert node.local.unacknowledged_outcome(NOW_S) is None
    assert not node.local.has(FIRST.manifest.entries[0].digest)


async def test_what_was_installed_is_applied_held_and_reported(node: Node):
    outcome = await node.install(FIRST)
    manifest = FIRST.manifest
    assert (outcome.result, outcome.phase, outcome.digest) == ("applied", "commit", manifest.digest)
    applied = node.local.applied()
    assert applied is not None
    assert (applied.version, node.local.highest()) == (manifest.version, manifest.version)
    assert all(node.local.has(digest) for digest in FIRST.payloads)
    assert not node.local.has(digest_of(b"of nothing"))
    report = node.local.report(NOW_S)
    assert report.applied is not None
    assert report.applied.leaves == {"server": manifest.slots["server"].leaf}
    assert (report.applied.digest, report.disk, report.last_failed) == (
        manifest.digest,
        manifest.digest,
        None,
    )


async def test_an_outcome_is_kept_until_it_is_acknowledged(node: Node):
    outcome = await node.install(FIRST)
    kept = node.local.unacknowledged_outcome(NOW_S)
    assert kept is not None
    assert (kept.push_id, kept.result, kept.digest) == (outcome.push_id, outcome.result, outcome.digest)


async def test_what_was_rolled_back_is_in_quarantine_and_what_ran_before_runs_on(node: Node):
    await node.install(FIRST)
    outcome = await node.roll_back(NEXT)
    assert (outcome.result, outcome.digest) == ("rolled_back", NEXT.manifest.digest)
    applied = node.local.applied()
    assert applied is not None
    assert applied.digest == FIRST.manifest.digest
    failure = node.local.quarantined(NEXT.manifest.digest, NOW_S + 1)
    assert failure is not None
    assert (failure.attempts, failure.retry_after_s) == (1, 59)
    assert node.local.quarantined(NEXT.manifest.digest, NOW_S + 60) is None
    assert node.local.quarantined(FIRST.manifest.digest, NOW_S + 1) is None
    report = node.local.report(NOW_S)
    assert report.last_failed is not None
    assert report.last_failed.digest == NEXT.manifest.digest
