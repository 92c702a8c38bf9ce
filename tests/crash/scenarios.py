"""What a node does that changes its disk, each as one act into any of whose calls a fault can be injected."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from common.bundle.build import Bundle
from common.errors import BundleError, CertcastError, Reason
from common.runtime import durable
from nodeagent.core import steps
from nodeagent.core.journal import Attempt, Cause, version_of
from nodeagent.install.state import NodeState
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.crash.node import (
    BAD,
    CALLING,
    HALF,
    LATER_S,
    NEW,
    OLD,
    PARTIAL,
    UNTRUSTED,
    Node,
    Say,
    leaf_of,
    say_no_word,
)
from tests.integration.agent_parts import ROOT, install, real_bundle


@dataclass(slots=True)
class Stage:
    """What an act is given, and where it leaves its agent for the one who heals it."""

    node: Node
    say: Say = say_no_word
    state: NodeState | None = None

    async def open(self) -> NodeState:
        self.state = await self.node.open()
        return self.state

    async def install(self, bundle: Bundle) -> None:
        """Install, and say so if it was applied."""
        state = self.state or await self.open()
        outcome = await install(state, bundle)
        if outcome.result == "applied":
            self.say(f"applied {outcome.generation}")


Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`before` brings a node to where `act` begins. None stands for nothing installed."""

    name: str
    act: Act
    before: Act | None = None
    may_show: Sequence[Bundle | None]
    may_rest_on: Sequence[Bundle | None] = field(default=())

    @property
    def rests_on(self) -> Sequence[Bundle | None]:
        return self.may_rest_on or self.may_show


async def _install_old(stage: Stage) -> None:
    await stage.install(OLD)


async def _install_new(stage: Stage) -> None:
    """The whole of it: a second generation, its outcome acknowledged, and the minute's upkeep."""
    await stage.install(NEW)
    state = stage.state or await stage.open()
    await state.file.keep(steps.acknowledge(state.file.journal, "push-2"))
    await Upkeep(state).turn()


async def _install_bad(stage: Stage) -> None:
    """The service refuses it: back to the old one, quarantine, and an outcome that is owed."""
    await stage.install(BAD)
    await Upkeep(stage.state or await stage.open()).turn()


async def _install_calling(stage: Stage) -> None:
    """One of two services refuses its part of the first bundle; what the other took is installed without that part."""
    await stage.install(CALLING)
    await Upkeep(stage.state or await stage.open()).turn()


async def _install_half(stage: Stage) -> None:
    """Its trust store is refused by the agent's check, and the rest of it is installed."""
    await stage.install(HALF)
    await Upkeep(stage.state or await stage.open()).turn()


async def _install_searching(stage: Stage) -> None:
    """The service refuses it; it is rolled back, and installed without the part that is to blame."""
    await stage.install(UNTRUSTED)
    await Upkeep(stage.state or await stage.open()).turn()


async def _refuse(stage: Stage) -> None:
    """A bundle whose key does not pair."""
    state = await stage.open()
    made = pki.make_leaf(ROOT, ["mismatch.example.com"])
    try:
        await install(state, real_bundle(made, 2, key_of=pki.make_leaf(ROOT, ["other.example.com"])))
    except BundleError as error:
        assert error.reason == Reason.KEY_MISMATCH  # noqa: PT017 - an agent in a child has no pytest
        return
    raise AssertionError("it was taken")


async def _age(stage: Stage) -> None:
    """Several generations, all but the last three of which are not needed any more."""
    for _ in range(3):
        await stage.install(NEW)
        await stage.install(OLD)


async def _collect(stage: Stage) -> None:
    state = await stage.open()
    before, clock = set(state.tree.names()), state.clock
    state.clock = lambda: time.time() + LATER_S
    try:
        await Upkeep(state).turn()
    finally:
        state.clock = clock
    assert set(state.tree.names()) < before


async def _repair(stage: Stage) -> None:
    """The live generation is laid out anew."""
    await Upkeep(await stage.open()).turn()


async def _with_drift(stage: Stage) -> None:
    await _install_old(stage)
    (stage.node.data / "current/server/extra").write_text("nobody installed this")


async def _without_journal(stage: Stage) -> None:
    await _install_old(stage)
    (stage.node.data / "journal.json").write_bytes(b"damaged")


async def _start(stage: Stage) -> None:
    stage.state = await stage.node.start()


def _interrupted(state: str, target: Bundle) -> Act:
    """A node that was killed between the swap of the link and the commit, or on its way back."""

    async def before(stage: Stage) -> None:
        await _install_old(stage)
        node = stage.state or await stage.open()
        manifest, name = target.manifest, f"1-{target.manifest.generation:06d}"
        attempt = Attempt(push_id="p", directory=name, version=version_of(manifest), started_s=pki.NOW_S)
        node.tree.stage(name, manifest, target.payloads)
        journal = steps.begin(node.file.journal, attempt, node.services.consumers)
        if state == "rolling_back":
            cause = Cause(phase="reload", reason="reload_failed", message="it failed")
            journal = steps.begin_rollback(journal, cause, node.services.consumers)
        await node.file.save(journal)
        node.tree.publish(name)
        node.tree.switch(name)
        stage.node.loaded.write_bytes(leaf_of(target))

    return before


SCENARIOS = (
    Scenario(name="first installation", act=_install_old, may_show=(None, OLD)),
    Scenario(
        name="first installation that fails",
        act=_install_bad,
        may_show=(None, BAD),
    ),
    Scenario(
        name="first installation of which a service refuses one part",
        act=_install_calling,
        may_show=(None, CALLING, OLD),
    ),
    Scenario(name="second installation", before=_install_old, act=_install_new, may_show=(OLD, NEW)),
    Scenario(
        name="installation that fails and is rolled back",
        before=_install_old,
        act=_install_bad,
        may_show=(OLD, BAD),
        may_rest_on=(OLD,),
    ),
    Scenario(
        name="installation of which one part is refused",
        before=_install_old,
        act=_install_half,
        may_show=(OLD, PARTIAL),
    ),
    Scenario(
        name="installation of which a service refuses one part",
        before=_install_old,
        act=_install_searching,
        may_show=(OLD, UNTRUSTED, PARTIAL),
        may_rest_on=(OLD, PARTIAL),
    ),
    Scenario(name="refusal of a bundle", before=_install_old, act=_refuse, may_show=(OLD,)),
    Scenario(name="collection of old generations", before=_age, act=_collect, may_show=(OLD,)),
    Scenario(name="repair of drift", before=_with_drift, act=_repair, may_show=(OLD,)),
    Scenario(name="start without its journal", before=_without_journal, act=_start, may_show=(OLD,)),
    Scenario(
        name="start after a kill behind the swap",
        before=_interrupted("switching", NEW),
        act=_start,
        may_show=(NEW,),
    ),
    Scenario(
        name="start after a kill in the rollback",
        before=_interrupted("rolling_back", BAD),
        act=_start,
        may_show=(OLD, BAD),
        may_rest_on=(OLD,),
    ),
)


BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def make_template(scenario: Scenario, directory: Path) -> Path:
    """Lay out a node on which the act can begin."""
    directory.mkdir()
    node = Node(directory)
    (directory / "count").touch()

    async def lay() -> None:
        if scenario.before is not None:
            await scenario.before(Stage(node))

    with node.service():
        asyncio.run(lay())
    return directory


def act_in_child(scenario: Scenario, node: Node, say: Say, *, is_healed: bool, plant: str) -> None:
    """Carry the act out; if it `is_healed`, the agent that met the disk's errors then goes on with a disk that works."""

    async def act() -> None:
        stage = Stage(node, say)
        try:
            await scenario.act(stage)
        except CertcastError:
            if not is_healed:
                raise
        say("done")
        if is_healed:
            await node.heal(stage.state)

    with node.service(), PLANTS[plant]():
        asyncio.run(act())


def acknowledged(messages: Sequence[str]) -> int:
    """Return the highest generation that was reported as applied."""
    return max((int(word.split()[1]) for word in messages if word.startswith("applied ")), default=0)


def _without_fsync() -> AbstractContextManager[object]:
    return mock.patch.object(os, "fsync", return_value=None)


def _in_place() -> AbstractContextManager[object]:
    def write(path: Path, data: bytes, *, mode: int, **_owner: int) -> None:
        path.write_bytes(data)
        path.chmod(mode)

    return mock.patch.object(durable, "write_file", write)


def _link_by_link() -> AbstractContextManager[object]:
    def publish(link: Path, target: str) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    return mock.patch.object(durable, "publish_link", publish)


PLANTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "": nullcontext,
    "no fsync": _without_fsync,
    "journal in place": _in_place,
    "link removed first": _link_by_link,
}
"""Installers with a fault, to see that a sweep finds it."""
