"""Following the store: applies other managers' publications, reports and sessions to a node's facts.

Decides which of them change the facts. Invariant: facts of this manager's own session are never replaced by
older stored ones, and generations only increase.
"""

from collections.abc import Sequence

from common.bundle.manifest import parse_manifest
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts
from manager.domain.members import Hold, MemberId, NodeState, Sighting
from manager.domain.model import GenerationRecord, NodeReportRecord
from manager.domain.node_records import restore


def desire(facts: NodeFacts, desired: Desired) -> bool:
    """Apply a node's published generation, from any manager; return whether it is newer."""
    known = facts.desired
    if known is not None and desired.version.generation <= known.version.generation:
        return False
    facts.desired = desired
    return True


def follow_generation(facts: NodeFacts, generation: GenerationRecord | None) -> bool:
    """Apply a node's newest generation; return whether it is news."""
    if generation is None:
        return False
    if facts.desired is not None and generation.generation <= facts.desired.version.generation:
        return False
    manifest = parse_manifest(generation.manifest)
    return desire(facts, desired_from(manifest, generation.created_s, generation.superseded_digest))


def follow_report(facts: NodeFacts, report: NodeReportRecord | None) -> bool:
    """Apply a node's last stored report unless it is the known one; return whether it is news."""
    if report is None or report.at_s == facts.kept_s:
        return False
    restore(facts, report)
    return True


def follow_past(facts: NodeFacts, state: NodeState) -> bool:
    """Apply the last report time, and the push outcome, of a node without a session.

    Return whether it is news.
    """
    before = facts.last_report_s, facts.is_pushing
    report_s = state.report.last_report_s or state.report.at_s if state.report is not None else None
    ends_s = [each for each in (report_s, state.left_s) if each is not None]
    if ends_s:
        facts.last_report_s = max(ends_s)
        facts.lose_push(max(ends_s))
    return before != (facts.last_report_s, facts.is_pushing)


def follow_sightings(facts: NodeFacts, sightings: Sequence[Sighting], own: MemberId | None) -> bool:
    """Apply what other managers observed, and what this one, `own`, has shared; return whether it is news."""
    facts.told = next(((each.flood, each.turned_away) for each in sightings if each.member == own), ("", ""))
    before = facts.sightings
    facts.sightings = tuple(each for each in sightings if each.member != own)
    return before != facts.sightings


def forget_lost(facts: NodeFacts, state: NodeState) -> bool:
    """Forget facts that the store lost, because a database server without them took over.

    Return whether there were any.

    Facts from a session of this manager stay: the agent repeats them when it greets again.
    """
    generation, report, hold = state.generation, state.report, state.hold
    known = (facts.desired.version.generation, facts.desired.version.digest) if facts.desired else (0, "")
    kept = (generation.generation, generation.digest) if generation is not None else (0, "")
    is_generation_lost = known[0] > kept[0] or (known[0] == kept[0] and known != kept)
    is_report_lost = facts.kept_s is not None and (report is None or report.at_s != facts.kept_s)
    is_session_lost = bool(facts.session) and (hold is None or hold.number != facts.session)
    if is_generation_lost:
        facts.desired = None
    if is_report_lost and report is None and not facts.session:
        facts.applied, facts.reported_failed, facts.serving, facts.kept_s = None, None, (), None
    return is_generation_lost or is_report_lost or is_session_lost


def hold_here(facts: NodeFacts, number: int, *, monotonic_s: float, now_s: float) -> None:
    """Record that this manager has a node's session, without a push so far."""
    facts.lose_push(now_s)
    facts.session, facts.session_s, facts.elsewhere = number, monotonic_s, False


def hold_elsewhere(facts: NodeFacts, hold: Hold) -> bool:
    """Record that another manager has a node's session; return whether it is news."""
    seen = (facts.elsewhere, facts.connected_s, facts.address, facts.agent_version)
    if seen == (True, hold.since_s, hold.address, hold.agent_version):
        return False
    facts.session, facts.elsewhere, facts.turned_away = 0, True, ""
    facts.connected_s, facts.address, facts.agent_version = hold.since_s, hold.address, hold.agent_version
    # it greeted then, whenever its report was stored
    facts.last_report_s = max(facts.last_report_s or 0.0, hold.since_s)
    return True


def release_elsewhere(facts: NodeFacts, now_s: float) -> bool:
    """Record that no manager has a node's session any longer; return whether it is news."""
    if not facts.elsewhere:
        return False
    facts.elsewhere = False
    facts.disconnect(now_s)
    return True
