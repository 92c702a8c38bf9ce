"""Recovery at start, from what the journal says and the link shows.

Decides between going on, going back, and forgetting. Leaves carrying it out to `nodeagent.install.start`.
Invariant: a rollback that began never turns forward again, and what is not whole is never shown.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nodeagent.core.journal import Journal


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is under way; `current` must show `directory` ("": nothing was ever installed)."""

    directory: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The installation never became visible: remove its `target`, and the old `directory` runs on."""

    target: str
    directory: str


@dataclass(frozen=True, slots=True)
class Resume:
    """The target is visible and whole: reload and prove it, then commit or roll back."""

    target: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Show `directory` again, reload, prove it."""

    directory: str


Decision = Idle | Forget | Resume | RollBack


def recover(journal: Journal, *, link: str | None, whole: AbstractSet[str]) -> Decision:
    """Decide what to do at start.

    `link` is what `current` shows (a directory's name), None if it is not a link; `whole` are the directories whose
    content is what their manifest says.
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
    # the link shows a damaged target, or something that no installation made
    return RollBack(directory) if directory else Forget(target, directory)
