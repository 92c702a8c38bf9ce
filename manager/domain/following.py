"""News of a node that the store has: another manager may have published to it, heard it, or hold its session.

Decides what of it changes the node's facts. Invariant: what this manager knows of a session of its own is never replaced by what the store kept of it
before, and generations only rise.
"""

from common.bundle.manifest import parse_manifest
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts
from manager.domain.members import Hold
from manager.domain.model import GenerationRecord, NodeReportRecord


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
    facts.restore(report)
    return True


def hold_here(facts: NodeFacts, number: int, monotonic_s: float) -> None:
    """Note that this manager has the session of a node."""
    facts.session, facts.session_s, facts.elsewhere = number, monotonic_s, False


def hold_elsewhere(facts: NodeFacts, hold: Hold) -> bool:
    """Note that another manager has the session of a node; return whether that is news."""
    seen = (facts.elsewhere, facts.connected_s, facts.address, facts.agent_version)
    if seen == (True, hold.since_s, hold.address, hold.agent_version):
        return False
    facts.session, facts.elsewhere, facts.turned_away = 0, True, ""
    facts.connected_s, facts.address, facts.agent_version = hold.since_s, hold.address, hold.agent_version
    return True


def release_elsewhere(facts: NodeFacts, now_s: float) -> bool:
    """Note that no manager has the session of a node that another one had; return whether that is news."""
    if not facts.elsewhere:
        return False
    facts.elsewhere = False
    facts.disconnect(now_s)
    return True
