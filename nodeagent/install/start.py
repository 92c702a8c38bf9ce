"""Start-up recovery on disk: read the journal, and undo or keep an interrupted installation.

Decides nothing itself (`nodeagent.core.recovery` does). Leaves reloads and proofs to `Installer.resume`.
Invariant: afterwards `current` shows one whole generation (or none was ever installed); no service was reloaded.
"""

import asyncio
from pathlib import Path

import structlog
from msgspec.structs import replace

from common.errors import Reason
from nodeagent.core.drift import Ownership
from nodeagent.core.journal import Journal, version_of
from nodeagent.core.recovery import Decision, Forget, Idle, Resume, RollBack, recover
from nodeagent.core.services import Services
from nodeagent.core.steps import forget
from nodeagent.install.copies import remove_leftovers
from nodeagent.install.fault import name_fault
from nodeagent.install.journalfile import JournalFile, load_journal
from nodeagent.install.localstate import NodeLocalState
from nodeagent.install.state import NodeState
from nodeagent.install.tree import Tree

log = structlog.get_logger(__name__)


async def open_state(directory: Path, *, services: Services, owners: Ownership) -> NodeState:
    """Read the disk and bring it to a settled state. Raises CertcastError if the data directory cannot be used."""
    tree = Tree(directory, owners)
    try:
        await asyncio.to_thread(tree.prepare)
        await asyncio.to_thread(
            remove_leftovers, [copy for consumer in services.consumers for copy in consumer.copies]
        )
        journal = await load_journal(directory)
        is_new = journal is None
        if journal is None:
            journal = await asyncio.to_thread(_rebuild, tree)
        file = JournalFile(directory, journal)
        state = NodeState(tree=tree, file=file, local=NodeLocalState(file), services=services)
        if is_new:
            await file.keep(journal)
        await _rest(state)
    except OSError as error:
        raise name_fault("the data directory cannot be used", error) from error
    return state


async def _rest(state: NodeState) -> None:
    tree, journal = state.tree, state.file.journal
    link = await asyncio.to_thread(tree.live)
    decision = recover(journal, link=link, whole=await asyncio.to_thread(_whole, tree, journal))
    shown = await _carry_out(state, decision)
    manifest = await asyncio.to_thread(tree.manifest, shown) if shown else None
    if isinstance(decision, Idle | Forget) and journal.applied is not None and manifest is not None:
        # a manifest other than the applied one is damage, which upkeep repairs
        manifest = manifest if version_of(manifest) == journal.applied else None
    state.local.set_live(manifest)
    if shown and manifest is None:
        state.local.mark_damaged(())


async def _carry_out(state: NodeState, decision: Decision) -> str:
    """Return the directory that `current` points to now."""
    tree, journal = state.tree, state.file.journal
    match decision:
        case Idle(directory):
            return directory
        case Resume(target):
            return target
        case RollBack(directory):
            await asyncio.to_thread(tree.switch, directory)
            await state.file.keep(replace(journal, state="rolling_back"))
            return directory
        case Forget(target, directory):
            await state.file.keep(forget(journal))
            if target != directory:
                await asyncio.to_thread(tree.remove, target)
            log.warning(
                "install.recovered", reason=Reason.INTERRUPTED, message="it had not become visible; forgotten"
            )
            return directory


def _whole(tree: Tree, journal: Journal) -> frozenset[str]:
    names = {journal.directory, journal.attempt.directory if journal.attempt is not None else ""} - {""}
    return frozenset(
        name
        for name in names
        if (manifest := tree.manifest(name)) is not None and tree.is_whole(name, manifest)
    )


def _rebuild(tree: Tree) -> Journal:
    """Make a journal from the link's target, for a new node or after the loss of the journal.

    Loaded content is unknown, so every consumer is reloaded and proven once.
    """
    name = tree.live()
    manifest = tree.manifest(name) if name is not None else None
    if name is None or manifest is None or not tree.is_whole(name, manifest):
        return Journal()
    version = version_of(manifest)
    return Journal(directory=name, applied=version, highest=(version.epoch, version.generation))
