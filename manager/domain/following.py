"""News of a node that the store has: another manager may have published to it, got its reports, or hold its session.

Decides what of it changes the node's facts. Invariant: what this manager knows of a session of its own is never replaced by what the store kept of it
before, and generations only rise.
"""

from collections.abc import Sequence

from common.bundle.manifest import parse_manifest
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts
from manager.domain.members import Hold, MemberId, NodeState, Sighting
from manager.domain.model import GenerationRecord, NodeReportRecord
from manager.domain.node_records import restore


def desire(facts: NodeFacts, desired: Desired) -> bool:
    """Take what was published for a node, by whomever; return whether it is newer than what is known."""
    known = facts.desired
    if known is not None and desired.version.generation <= known.version.generation:
        return False
    facts.desired = desired
    return True


def follow_generation(facts: NodeFacts, generation: GenerationRecord | None) -> bool:
    """Take the newest generation of a node; return whether it is news."""
    if generation is None:
        return False
    if facts.desired is not None and generation.generation <= facts.desired.version.generation:
        return False
    manifest = parse_manifest(generation.manifest)
    return desire(facts, desired_from(manifest, generation.created_s, generation.superseded_digest))


def follow_report(facts: NodeFacts, report: NodeReportRecord | None) -> bool:
    """Take the last report that was kept of a node, unless it is the one that memory is of; return whether it is news."""
    if report is None or report.at_s == facts.kept_s:
        return False
    restore(facts, report)
    return True


def follow_past(facts: NodeFacts, state: NodeState) -> bool:
    """Take when a node reported last that has no session any more, and what became of the push in it; return whether that is news."""
    before = facts.last_report_s, facts.is_pushing
    report_s = state.report.last_report_s or state.report.at_s if state.report is not None else None
    ends_s = [each for each in (report_s, state.left_s) if each is not None]
    if ends_s:
        facts.last_report_s = max(ends_s)
        facts.lose_push(max(ends_s))
    return before != (facts.last_report_s, facts.is_pushing)


def follow_sightings(facts: NodeFacts, sightings: Sequence[Sighting], own: MemberId | None) -> bool:
    """Take what other managers noticed, and what this one, `own`, has told; return whether that is news."""
    facts.told = next(((each.flood, each.turned_away) for each in sightings if each.member == own), ("", ""))
    before = facts.sightings
    facts.sightings = tuple(each for each in sightings if each.member != own)
    return before != facts.sightings


def forget_lost(facts: NodeFacts, state: NodeState) -> bool:
    """Forget what memory has of a node and the store has lost, since a server took over that lacks it; return whether that was anything.

    What its agent said in a session of this manager is left: it says it again when it greets again.
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
    """Note that this manager has the session of a node, in which nothing is under way yet."""
    facts.lose_push(now_s)
    facts.session, facts.session_s, facts.elsewhere = number, monotonic_s, False


def hold_elsewhere(facts: NodeFacts, hold: Hold) -> bool:
    """Note that another manager has the session of a node; return whether that is news."""
    seen = (facts.elsewhere, facts.connected_s, facts.address, facts.agent_version)
    if seen == (True, hold.since_s, hold.address, hold.agent_version):
        return False
    facts.session, facts.elsewhere, facts.turned_away = 0, True, ""
    facts.connected_s, facts.address, facts.agent_version = hold.since_s, hold.address, hold.agent_version
    # it greeted then, whenever it was that a report of it was kept
    facts.last_report_s = max(facts.last_report_s or 0.0, hold.since_s)
    return True


def release_elsewhere(facts: NodeFacts, now_s: float) -> bool:
    """Note that no manager has the session of a node that another one had; return whether that is news."""
    if not facts.elsewhere:
        return False
    facts.elsewhere = False
    facts.disconnect(now_s)
    return True
