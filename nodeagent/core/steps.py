"""The steps of the journal: how each step of an installation, and of the upkeep in between, changes it.

Each step is a pure function from one journal to the next. Leaves the journal's content to
`nodeagent.core.journal`, and the report of a finished attempt to `nodeagent.core.outcomes`.
Invariant: each step keeps a way out, forward or back; and each end of an installation leaves an outcome for the
manager to acknowledge.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeVar

from msgspec.structs import replace

from common.bundle.manifest import Manifest
from common.errors import InstallError, Reason
from common.wire.fields import clip
from nodeagent.core.journal import Attempt, Cause, Journal, version_of
from nodeagent.core.outcomes import failure_of, failure_of_parts, outcome_of
from nodeagent.core.plan import with_loaded, without
from nodeagent.core.quarantine import Refusal, text_of
from nodeagent.core.services import Consumer

T = TypeVar("T")


# -- the steps of an installation, in order


def begin(journal: Journal, attempt: Attempt, affected: Sequence[Consumer]) -> Journal:
    """The staged generation is complete. The next step makes it visible; then `affected` may load it at any time."""
    return replace(
        journal,
        state="switching",
        attempt=replace(attempt, loaded=journal.loaded, waiting=journal.waiting),
        cause=None,
        loaded=without(journal.loaded, affected),
        waiting=_less(journal.waiting, [one.name for one in affected]),
    )


def commit(
    journal: Journal,
    manifest: Manifest,
    proven: Sequence[Consumer],
    *,
    now_s: float,
    reloads: int,
    waiting: Mapping[str, str] = MappingProxyType({}),
) -> Journal:
    """The target is proven and applied; the manager has yet to acknowledge the outcome.

    `waiting` maps the consumers whose reload comes later to the reason.
    """
    attempt = _attempt(journal)
    version = attempt.version
    notes = [text_of(attempt.refused, kept=attempt.kept)] if attempt.refused else []
    notes += [f"'{name}': {why}" for name, why in waiting.items()]
    is_moved = journal.applied is not None and journal.directory != attempt.directory
    return replace(
        journal,
        state="idle",
        directory=attempt.directory,
        previous=journal.directory if is_moved else journal.previous,
        applied=version,
        highest=max(journal.highest, (version.epoch, version.generation)),
        attempt=None,
        cause=None,
        loaded=with_loaded(_less(journal.loaded, waiting), proven, manifest),
        waiting=_since({**attempt.waiting, **journal.waiting}, waiting, now_s),
        reloaded={**journal.reloaded, **{one.name: now_s for one in proven}},
        last_failed=failure_of_parts(attempt, now_s=now_s),
        refused=attempt.refused,
        is_partial=bool(attempt.refused),
        unproven=None,
        unacknowledged=replace(
            outcome_of(attempt, "applied", None, now_s=now_s, reloads=reloads),
            message=clip("; ".join(notes)),
        ),
    )


def fail(journal: Journal, attempt: Attempt, cause: Cause, *, now_s: float) -> Journal:
    """The installation failed before the link was swapped: the former generation stays."""
    return _failed(forget(journal), attempt, "failed", cause, now_s=now_s, reloads=0)


def forget(journal: Journal) -> Journal:
    """The installation never became visible: nothing has changed."""
    attempt = journal.attempt
    if attempt is None:
        return replace(journal, state="idle", cause=None)
    return replace(
        journal, state="idle", attempt=None, cause=None, loaded=attempt.loaded, waiting=attempt.waiting
    )


def keep_unproven(
    journal: Journal,
    cause: Cause,
    *,
    proven: Iterable[Consumer],
    manifest: Manifest | None,
    now_s: float,
    reloads: int,
    waiting: Iterable[str] = (),
) -> Journal:
    """The target (`manifest`) could not be proven. Its files stay, since no proven generation is left to restore.

    A service that cannot start without its certificate can then be started. `proven` consumers need no further
    reload, `waiting` ones do. After a further attempt with fewer parts of a first bundle, the whole bundle stays.
    """
    attempt, proven = _attempt(journal), tuple(proven)
    loaded = with_loaded(journal.loaded, proven, manifest) if manifest is not None else journal.loaded
    is_less = attempt.again and journal.applied is None and bool(journal.directory)
    kept = replace(
        journal,
        state="idle",
        directory=journal.directory if is_less else attempt.directory,
        applied=None,
        refused=journal.refused if is_less else attempt.refused,
        is_partial=journal.is_partial if is_less else bool(attempt.refused),
        loaded=loaded,
        waiting=attempt.waiting
        if is_less
        else _since({**attempt.waiting, **journal.waiting}, waiting, now_s),
        reloaded={**journal.reloaded, **{one.name: now_s for one in proven}},
    )
    return _failed(kept, attempt, "failed", cause, now_s=now_s, reloads=reloads)


def begin_rollback(journal: Journal, cause: Cause, affected: Iterable[Consumer]) -> Journal:
    """The target failed. The next step makes the old generation visible again."""
    return replace(
        journal, state="rolling_back", cause=cause, loaded=without(journal.loaded, affected), unproven=None
    )


def finish_rollback(
    journal: Journal,
    manifest: Manifest,
    proven: Iterable[Consumer],
    *,
    trouble: Cause | None,
    now_s: float,
    reloads: int,
) -> Journal:
    """The old generation (`manifest`) is visible again. `trouble` says why it is not proven, None if it is."""
    attempt, cause = _attempt(journal), journal.cause
    if cause is None:
        cause = Cause(phase="rollback", reason=Reason.INTERRUPTED, message="the installation was interrupted")
    result: Literal["rolled_back", "failed"] = "rolled_back"
    if trouble is not None:
        result = "failed"
        cause = Cause(
            phase="rollback",
            reason=Reason.ROLLBACK_FAILED,
            message=f"{trouble.message} (it was rolled back because: {cause.message})",
            diagnostics=cause.diagnostics,
        )
    idle = replace(
        journal,
        state="idle",
        loaded=with_loaded(journal.loaded, proven, manifest),
        unproven=cause if trouble is not None else None,
    )
    return _failed(idle, attempt, result, cause, now_s=now_s, reloads=reloads)


def reject(journal: Journal, attempt: Attempt, cause: Cause, *, now_s: float) -> Journal:
    """The bundle was refused. Nothing was touched, and only the refusal is reported."""
    failed = failure_of_parts(attempt, now_s=now_s)
    if failed is None:
        failed = failure_of(journal.last_failed, attempt, "rejected", cause, now_s=now_s)
    return replace(journal, last_failed=failed, refused={**journal.refused, **attempt.refused})


def blame(journal: Journal, refusal: Refusal) -> Journal:
    """This part caused the last rollback: new content of the other parts need not wait for it."""
    return replace(journal, refused={**journal.refused, refusal.part: refusal})


def note_reloads(journal: Journal, consumers: Iterable[Consumer], *, now_s: float) -> Journal:
    """These were reloaded, forward or back: their interval begins again."""
    return replace(journal, reloaded={**journal.reloaded, **{one.name: now_s for one in consumers}})


def report_first_failure(journal: Journal, first: Journal) -> Journal:
    """Further attempts at one offer failed as well: the first attempt's failure is reported."""
    if journal.unacknowledged is None or first.unacknowledged is None:
        return journal
    unacknowledged = replace(
        first.unacknowledged,
        at_s=journal.unacknowledged.at_s,
        duration_ms=journal.unacknowledged.duration_ms,
        reloads=journal.unacknowledged.reloads,
    )
    return replace(journal, unacknowledged=unacknowledged, last_failed=first.last_failed)


def end_rest(journal: Journal, *, now_s: float) -> Journal:
    """Refused content may be tried now: the obstacle is gone."""
    failed = journal.last_failed
    return replace(
        journal,
        last_failed=replace(failed, until_s=now_s) if failed is not None else None,
        refused={part: replace(one, until_s=now_s) for part, one in journal.refused.items()},
    )


# -- outside installations


def acknowledge(journal: Journal, push_id: str) -> Journal:
    """The manager has acknowledged this outcome."""
    return (
        replace(journal, unacknowledged=None)
        if journal.unacknowledged and journal.unacknowledged.push_id == push_id
        else journal
    )


def mark_unverified(journal: Journal, consumers: Iterable[Consumer]) -> Journal:
    """These consumers may have loaded something other than the installed files."""
    return replace(journal, loaded=without(journal.loaded, consumers))


def record_reloads(
    journal: Journal,
    manifest: Manifest,
    proven: Sequence[Consumer],
    *,
    waiting: Iterable[str] = (),
    is_settled: bool,
    now_s: float,
) -> Journal:
    """These consumers are proven on the live generation, and those wait. `is_settled`: no other is due."""
    return replace(
        journal,
        loaded=with_loaded(journal.loaded, proven, manifest),
        waiting=_since(journal.waiting, waiting, now_s),
        reloaded={**journal.reloaded, **{one.name: now_s for one in proven}},
        unproven=None if is_settled else journal.unproven,
    )


def confirm(journal: Journal, manifest: Manifest) -> Journal:
    """The unproven generation of a failed installation is now served everywhere, and so counts as applied."""
    version = version_of(manifest)
    return replace(
        journal,
        applied=version,
        highest=max(journal.highest, (version.epoch, version.generation)),
        # parts that this installation refused stay refused
        last_failed=journal.last_failed if journal.is_partial else None,
        unproven=None,
    )


def move(journal: Journal, directory: str) -> Journal:
    """The live content was laid out again in another directory; the link is swapped next."""
    return replace(journal, directory=directory)


def _less(mapping: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    gone = set(names)
    return {name: value for name, value in mapping.items() if name not in gone}


def _since(before: Mapping[str, float], waiting: Iterable[str], now_s: float) -> dict[str, float]:
    return {name: before.get(name, now_s) for name in waiting}


def _attempt(journal: Journal) -> Attempt:
    if journal.attempt is None:
        raise InstallError("no installation is under way")
    return journal.attempt


def _failed(
    journal: Journal,
    attempt: Attempt,
    result: Literal["rolled_back", "failed"],
    cause: Cause,
    *,
    now_s: float,
    reloads: int,
) -> Journal:
    return replace(
        journal,
        attempt=None,
        cause=None,
        last_failed=failure_of(journal.last_failed, attempt, result, cause, now_s=now_s),
        unacknowledged=outcome_of(attempt, result, cause, now_s=now_s, reloads=reloads),
    )
