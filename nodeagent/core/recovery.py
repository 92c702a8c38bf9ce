"""Recovery at start, decided from the journal and the link.

Decides whether to continue, roll back or forget an installation. Leaves the execution to
`nodeagent.install.start`. Invariant: a rollback never turns forward again, and a damaged generation is never
made visible.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nodeagent.core.journal import Journal


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is under way; `current` must point to `directory` ("" if nothing was ever installed)."""

    directory: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The installation never became visible: remove its `target` and keep the old `directory`."""

    target: str
    directory: str


@dataclass(frozen=True, slots=True)
class Resume:
    """The target is visible and whole: reload, prove, then commit or roll back."""

    target: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Point the link back to `directory`, reload and prove it."""

    directory: str


Decision = Idle | Forget | Resume | RollBack


def recover(journal: Journal, *, link: str | None, whole: AbstractSet[str]) -> Decision:
    """Decide what to do at start.

    `link` is the directory that `current` points to, None if it is not a link. `whole` lists the directories
    whose content matches their manifest.
    """
    if journal.state == "idle" or journal.attempt is None:
        return Idle(journal.directory)
    target, directory = journal.attempt.directory, journal.directory
    if journal.state == "rolling_back" and directory:
        return RollBack(directory)
    if link == target and target in whole:
        return Resume(target)
    if link == directory or (link is None and not directory):
        return Forget(target, directory)
    # the link points to a damaged target, or to something that no installation made
    return RollBack(directory) if directory else Forget(target, directory)
