"""The steps of the journal: how each moment of an installation, and of the upkeep between two, changes what an agent knows.

Decides it as a pure function from one value to the next. Leaves what the value holds to `nodeagent.core.journal`, and what is
reported of an attempt that ended to `nodeagent.core.outcomes`.
Invariant: each step keeps a way out, forward or back; and what ends an installation leaves an outcome that the manager has yet to
acknowledge.
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
    """The stage is complete; from the next step on it becomes visible, and `affected` may load it at any moment."""
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
    """The target is proven: it is what runs, and the manager has yet to acknowledge the outcome.

    `waiting` are the consumers whose reload comes later, and why.
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
    """The installation failed before the link was swapped: what ran before runs on."""
    return _failed(forget(journal), attempt, "failed", cause, now_s=now_s, reloads=0)


def forget(journal: Journal) -> Journal:
    """The installation never became visible: all is as it was."""
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
    """The target (`manifest`) could not be proven, and there is nothing proven and whole to go back to, so its files stay.

    A service that cannot start without its certificate can then be started. Who is `proven` need not be reloaded again, and who is
    `waiting` still does. After a further attempt, with less of a first bundle, it is all of that bundle that stays.
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
    """The target failed; from the next step on the old generation becomes visible again."""
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
    """The old generation (`manifest`) is visible again; `trouble` says why it could not be proven, if so."""
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
    """The bundle was refused; nothing was touched, and nothing but the refusal itself is to be reported."""
    failed = failure_of_parts(attempt, now_s=now_s)
    if failed is None:
        failed = failure_of(journal.last_failed, attempt, "rejected", cause, now_s=now_s)
    return replace(journal, last_failed=failed, refused={**journal.refused, **attempt.refused})


def blame(journal: Journal, refusal: Refusal) -> Journal:
    """This part is why the last installation was rolled back: other content of the other parts need not wait for it."""
    return replace(journal, refused={**journal.refused, refusal.part: refusal})


def note_reloads(journal: Journal, consumers: Iterable[Consumer], *, now_s: float) -> Journal:
    """These were reloaded, forward and back: their interval begins again."""
    return replace(journal, reloaded={**journal.reloaded, **{one.name: now_s for one in consumers}})


def report_first_failure(journal: Journal, first: Journal) -> Journal:
    """Further attempts at one offer failed as well: what is reported is what the first one met."""
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
    """Record that refused content may be tried now: what kept it from being installed is gone."""
    failed = journal.last_failed
    return replace(
        journal,
        last_failed=replace(failed, until_s=now_s) if failed is not None else None,
        refused={part: replace(one, until_s=now_s) for part, one in journal.refused.items()},
    )


# -- outside installations


def acknowledge(journal: Journal, push_id: str) -> Journal:
    """The manager has this outcome."""
    return (
        replace(journal, unacknowledged=None)
        if journal.unacknowledged and journal.unacknowledged.push_id == push_id
        else journal
    )


def mark_unverified(journal: Journal, consumers: Iterable[Consumer]) -> Journal:
    """These consumers may have loaded something else than what was installed."""
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
    """These consumers are proven on what is live, and those wait; `is_settled`: no other is due."""
    return replace(
        journal,
        loaded=with_loaded(journal.loaded, proven, manifest),
        waiting=_since(journal.waiting, waiting, now_s),
        reloaded={**journal.reloaded, **{one.name: now_s for one in proven}},
        unproven=None if is_settled else journal.unproven,
    )


def confirm(journal: Journal, manifest: Manifest) -> Journal:
    """What stayed unproven after a failed installation is now seen to be served: it is what runs."""
    version = version_of(manifest)
    return replace(
        journal,
        applied=version,
        highest=max(journal.highest, (version.epoch, version.generation)),
        # parts that this installation refused are still refused
        last_failed=journal.last_failed if journal.is_partial else None,
        unproven=None,
    )


def move(journal: Journal, directory: str) -> Journal:
    """What is live was laid out again in another directory, with the same content; the link is swapped next."""
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
